"""Make the structures of one generator."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.structures.generate import generate
    from mlip_autopipec.structures.task import Task
    from mlip_autopipec.surrogates import chosen_surrogate

    # The rule's params are what decides; the rest of the config may change freely.
    i, o, p = snakemake.input, snakemake.output, snakemake.params
    config = expand(snakemake.config)[0]
    task = Task.of(config, lambda: chosen_surrogate(config.exploration, config.elements))
    frames, record = generate(snakemake.wildcards.generator, read_frames(i.parents), task)
    write_frames(o.frames, frames)
    write_record(o.record, record, [i.parents], structures=p.settings, surrogate=p.surrogate, seed=p.seed)
