"""Choose the candidates among starting and explored frames."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_json
    from mlip_autopipec.config.full import Sampling
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.sampling import choose_candidates

    pool = [f for path in [snakemake.input.structures, *snakemake.input.explored] for f in read_frames(path)]
    frames, record = choose_candidates(pool, Sampling(**snakemake.params.settings))
    write_frames(snakemake.output.candidates, frames)
    write_json(snakemake.output.record, record)
