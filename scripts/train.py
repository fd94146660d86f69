"""Train the potential of one generation."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import read_json, write_record
    from mlip_autopipec.config import decided
    from mlip_autopipec.frames import read_frames
    from mlip_autopipec.training import train

    i, o, p = snakemake.input, snakemake.output, snakemake.params
    settings = decided(p.settings, read_json(i.record))
    more = {name: Path(path) for name, path in o.items() if name in ("factor", "posterior")}
    if i.get("noise"):  # not where data are given
        more["noise"] = read_json(i.noise)
    if p.previous:
        more["previous"] = Path(p.previous)
    record = train(read_frames(i.dataset), settings, Path(o.yaml), Path(o.yace), Path(o.asi), **more)
    write_record(o.record, record, [*i, *([p.previous] if p.previous else [])], training=settings)
