"""Draw the map of what was seen, chosen, labelled and found uncertain, and measure how well it is covered."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.sampling import atlas, configured_describer, vectors_of

    i, p = snakemake.input, snakemake.params
    config = expand(snakemake.config)[0]
    make = configured_describer(config)
    drawn = atlas(dict(i.items()), lambda frames: vectors_of(frames, make), seed=p.seed)
    write_record(snakemake.output[0], drawn, list(i), descriptor=p.descriptor, seed=p.seed)
