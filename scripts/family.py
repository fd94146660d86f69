"""Make the family of potentials of the last dataset."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.training.family import family

    i, o = snakemake.input, snakemake.output
    record = family(
        Path(i.factor[0]),
        read_json(i.record[0]),
        Path(i.potential[0]),
        read_frames(i.dataset[0]),
        read_frames(i.test),
        Path(o.record).parent,
    )
    write_record(o.record, record, [i.potential[0], i.factor[0], i.dataset[0], i.test])
