"""Collect labels into a dataset and a quarantine."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.labelling.cells import label_files
    from mlip_autopipec.labelling.collect import collect

    i, o = snakemake.input, snakemake.output
    paths = [i.frames] if isinstance(i.frames, str) else i.frames
    accepted, quarantined, record = collect(
        [frame for path in paths for frame in read_frames(path)],
        [label for path in paths for label in label_files(path)],
        read_frames(i.atoms),
        label_files(i.atoms),
        reviews=list(i.get("reviews", [])),
        settings=expand(snakemake.config)[0].labelling,
    )
    write_frames(o.dataset, accepted)
    write_frames(o.quarantine, quarantined)
    write_record(o.record, record, [*paths, i.atoms])
