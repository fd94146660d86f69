"""Run one walker driven by the new potential."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config.full import Simulation
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.potential import load_potential
    from mlip_autopipec.simulation import simulate

    i, p = snakemake.input, snakemake.params
    frames, record = simulate(
        read_frames(i.structures),
        load_potential(i.potential, i.asi),
        Simulation(**p.settings),
        name=snakemake.wildcards.walker,
        temperature_k=p.temperature_k,
        generation=int(snakemake.wildcards.gen),
        gamma_select=p.gamma_select,
        gamma_stop=p.gamma_stop,
        seed=p.seed,
    )
    write_frames(snakemake.output.frames, frames)
    write_record(
        snakemake.output.record, record, [i.potential, i.asi, i.structures], simulation=p.settings, seed=p.seed
    )
