"""Validate the last potential."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import read_json, write_json, write_record
    from mlip_autopipec.config.full import Validation
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.potential import load_potential
    from mlip_autopipec.validation import validate

    i, o, p = snakemake.input, snakemake.output, snakemake.params
    eos, elastic, verdict = validate(
        read_frames(i.cells),
        load_potential(i.potential[0]),
        read_json(i.evaluation[0]),
        Validation(**p.settings),
        read_json(i.dimer),
    )
    write_json(o.eos, eos)
    write_json(o.elastic, elastic)
    write_record(o.verdict, verdict, [i.cells, i.potential[0], i.evaluation[0], i.dimer], validation=p.settings)
