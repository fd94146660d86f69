"""Choose the candidates among starting and explored frames."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import write_frames
    from mlip_autopipec.sampling import Pool, choose_candidates, pool_map, write_map

    i, o, p = snakemake.input, snakemake.output, snakemake.params
    pool = Pool.open(list(zip(i.frames, i.features, strict=True)))
    chosen, record = choose_candidates(pool, expand(snakemake.config)[0].sampling, p.seed)
    write_map(o.map, pool_map(pool, chosen))
    write_frames(o.candidates, pool.read(chosen))
    write_record(o.record, record, list(i.frames), sampling=p.settings, seed=p.seed)
