"""Calibrate what the potential says of its errors, and draw its committee."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.training.uncertainty import measure

    i, o = snakemake.input, snakemake.output
    record = measure(
        i.potential,
        i.factor[0],
        i.dataset[0],
        i.test,
        o.posterior,
        list(zip(o.yaml, o.yace, strict=True)),
        snakemake.params.seed,
        read_json(i.noise) if i.get("noise") else None,
    )
    write_record(o.record, record, [*i.potential, i.factor[0], i.dataset[0], i.test])
