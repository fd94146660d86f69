"""Select the frames that get a label in this generation, and say what their labels will cost."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.labelling import forecast
    from mlip_autopipec.labelling.ledger import Ledger
    from mlip_autopipec.sampling import choose_first, choose_uncertain, configured_describer

    i, o, p = snakemake.input, snakemake.output, snakemake.params
    config = expand(snakemake.config)[0]
    make = configured_describer(config)
    if snakemake.wildcards.gen == "0":
        frames, record = choose_first(read_frames(i.candidates), p.labels_first, config.sampling, make, p.seed)
    else:
        known = read_frames(i.dataset) + read_frames(i.quarantine)
        uncertain = [frame for path in i.uncertain for frame in read_frames(path)]
        frames, record = choose_uncertain(
            uncertain, known, p.labels_per_generation, p.label_budget, config.sampling, make, p.seed
        )
    write_frames(o.frames, frames)
    told = forecast.of_batch(o.frames, config, Ledger(Path(o.frames).parents[1] / "labeled")).record()
    write_record(o.record, {"frames": len(frames), "forecast": told, **record}, list(i), seed=p.seed)
