"""What became of all labels of a run, and what they cost."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.audit import audit
    from mlip_autopipec.labelling.cells import label_files

    i, o = snakemake.input, snakemake.output
    record = audit(
        {Path(path).stem: label_files(path) for path in i.frames},
        collected=list(i.collected),
        reviews=list(i.reviews),
        noise=i.noise,
        ledger=Path(o.record).parent / "labeled" / "ledger.jsonl",
        budget_core_hours=expand(snakemake.config)[0].labelling.core_hours_max,
    )
    write_record(o.record, record, list(i.frames))
