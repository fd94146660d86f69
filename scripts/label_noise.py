"""Run some accepted labels again at tighter settings: what is left to chance in all of them."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.labelling.cells import label_files
    from mlip_autopipec.labelling.engines import make_labeller
    from mlip_autopipec.labelling.labeller import read_label
    from mlip_autopipec.labelling.noise import measure

    i, o = snakemake.input, snakemake.output
    record = measure(
        read_frames(i.frames),
        {path.stem: read_label(path) for path in label_files(i.frames)},
        expand(snakemake.config)[0].labelling,
        Path(o.noise).parent / "labeled" / "noise",
        seed=snakemake.params.seed,
        make_labeller=make_labeller,
        leave_out=[row["name"] for row in read_json(i.review)["flagged"]],
    )
    write_record(o.noise, record, [i.frames, i.review])
