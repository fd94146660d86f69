"""Propose and relax the parents of one source."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import write_frames
    from mlip_autopipec.structures.parents import relax_source
    from mlip_autopipec.structures.task import Task
    from mlip_autopipec.surrogates import chosen_surrogate

    # The rule's params are what decides; the rest of the config may change freely.
    i, o, p = snakemake.input, snakemake.output, snakemake.params
    config = expand(snakemake.config)[0]
    task = Task.of(config, lambda: chosen_surrogate(config.exploration, config.elements))
    frames, record = relax_source(snakemake.wildcards.source, task)
    write_frames(o.frames, frames)
    write_record(o.record, record, list(i), structures=p.settings, surrogate=p.surrogate, seed=p.seed)
