"""Check a user's labelled data and bring them into the pipeline's form."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import DataTraining
    from mlip_autopipec.frames import write_frames
    from mlip_autopipec.training.own_data import import_data

    o, p = snakemake.output, snakemake.params
    settings = DataTraining(**p.settings)
    found = import_data(settings, p.composition, p.seed)
    write_frames(o.dataset, found.dataset)
    write_frames(o.quarantine, found.quarantine)
    write_frames(o.test, found.test)
    write_record(o.test_record, found.test_record, list(snakemake.input))
    write_record(o.record, found.record, list(snakemake.input), training=settings, seed=p.seed)
