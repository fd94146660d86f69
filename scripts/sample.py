"""Choose the candidates among starting and explored frames."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config.full import Sampling
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.sampling import choose_candidates

    parents = [snakemake.input.structures, *snakemake.input.explored]
    settings = Sampling(**snakemake.params.settings)
    frames, record = choose_candidates([f for path in parents for f in read_frames(path)], settings)
    write_frames(snakemake.output.candidates, frames)
    write_record(snakemake.output.record, record, parents, sampling=settings)
