"""Run one surrogate walker."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.config.walks import Walk
    from mlip_autopipec.exploration import walk
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.surrogates import check_invariants, chosen_surrogate, identity, invariants, relaxed_among

    # The rule's params are what decides; the rest of the config may change freely.
    i, o, p = snakemake.input, snakemake.output, snakemake.params
    config = expand(snakemake.config)[0]
    settings, structures = config.exploration, read_frames(i.structures)
    calculator = chosen_surrogate(settings, config.elements, relaxed_among(structures))
    # They cost nothing on the way. No parameter of the rule: without them the frames are evaluated once more.
    wanted = p.config_type == "explored" and config.sampling.descriptor == "surrogate"
    if wanted:  # before the walk: a descriptor that cannot be had is no news for its end
        check_invariants(calculator)
    record = walk(
        structures,
        calculator,
        settings,
        Walk(**p.walk),
        path=Path(o.frames),
        seed=p.seed,
        config_type=p.config_type,
        invariants=invariants(calculator) if wanted else None,
        identity=identity(settings.surrogate, calculator),
    )
    write_record(o.record, record, [i.structures], exploration=p.settings, seed=p.seed)
