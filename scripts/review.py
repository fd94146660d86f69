"""Review the labels of all generations so far: energies against their neighbours', moments that collapsed."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.checking import review_labels

    i, o, r = snakemake.input, snakemake.output, snakemake.resources
    settings = expand(snakemake.config)[0].labelling
    folder = Path(o.review).parent
    record = review_labels(i.frames, list(i.before), settings, folder, minutes=r.runtime, attempt=r.attempt)
    write_record(o.review, record, [*i.frames, *i.before])
