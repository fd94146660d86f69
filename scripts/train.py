"""Train the potential of one generation."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config.full import Training
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.training import train

    o = snakemake.output
    settings = Training(**snakemake.params.settings)
    record = train(read_frames(snakemake.input[0]), settings, Path(o.yaml), Path(o.yace), Path(o.asi))
    write_record(o.record, record, list(snakemake.input), training=settings)
