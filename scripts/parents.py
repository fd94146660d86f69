"""Merge the relaxed parents of all sources."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.structures.parents import merge_parents
    from mlip_autopipec.structures.task import Task
    from mlip_autopipec.surrogates import chosen_surrogate

    i, o = snakemake.input, snakemake.output
    config = expand(snakemake.config)[0]
    task = Task.of(config, lambda: chosen_surrogate(config.exploration, config.elements))
    parts = [(read_frames(frames), read_json(record)) for frames, record in zip(i.frames, i.records, strict=True)]
    frames, record = merge_parents(parts, task)
    write_frames(o.frames, frames)
    write_record(o.record, record, list(i.frames), structures=snakemake.params.settings)
