"""Label the frames of one job, each in a folder of its own."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_json
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.campaign import label_job

    i, w, r = snakemake.input, snakemake.wildcards, snakemake.resources
    frames = Path(i.frames)
    generations = range(int(w.batch.removeprefix("gen"))) if w.batch.startswith("gen") else ()
    # Only what decides the potential energy surface is among the rule's params; how pw.x is started may change freely.
    record = label_job(
        frames,
        snakemake.params.frames,
        expand(snakemake.config)[0].labelling,
        folder=Path(snakemake.output.record).parents[2],
        batch=w.batch,
        threads=snakemake.threads,
        minutes=r.runtime,
        attempt=r.attempt,
        earlier_files=[frames.with_name(f"gen{gen}.extxyz") for gen in generations],
    )
    write_json(snakemake.output.record, record)
