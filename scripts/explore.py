"""Run one surrogate walker."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config.full import Exploration
    from mlip_autopipec.exploration import load_surrogate, walk
    from mlip_autopipec.frames import read_frames, write_frames

    p = snakemake.params
    settings = Exploration(**p.settings)
    frames, record = walk(
        read_frames(snakemake.input.structures),
        load_surrogate(settings.surrogate),
        settings,
        name=snakemake.wildcards.walker,
        temperature_k=p.temperature_k,
        steps=p.steps,
        seed=p.seed,
        config_type=p.config_type,
    )
    write_frames(snakemake.output.frames, frames)
    write_record(snakemake.output.record, record, [snakemake.input.structures], exploration=settings, seed=p.seed)
