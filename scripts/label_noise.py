"""Run some accepted labels again at tighter settings: what is left to chance in all of them."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.checking import measure_noise

    i, o, r = snakemake.input, snakemake.output, snakemake.resources
    record = measure_noise(
        i.frames,
        i.review,
        expand(snakemake.config)[0].labelling,
        Path(o.noise).parent / "labeled",
        seed=snakemake.params.seed,
        minutes=r.runtime,
        attempt=r.attempt,
    )
    write_record(o.noise, record, [i.frames, i.review])
