"""Review the labels of all generations so far: energies against their neighbours', moments that collapsed."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.labelling.cells import label_files
    from mlip_autopipec.labelling.engines import make_labeller
    from mlip_autopipec.labelling.review import review_generation

    i, o = snakemake.input, snakemake.output
    labels = [label for path in i.frames for label in label_files(path)]
    settings = expand(snakemake.config)[0].labelling
    folder = Path(o.review).parent
    record = review_generation(i.frames, labels, list(i.before), settings, folder, make_labeller=make_labeller)
    write_record(o.review, record, [*i.frames, *i.before])
