"""Select the frames that get a label in this generation, and say what their labels will cost."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.artifacts import write_record
    from mlip_autopipec.config import expand
    from mlip_autopipec.config.full import Sampling
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.labelling import forecast
    from mlip_autopipec.labelling.ledger import Ledger
    from mlip_autopipec.sampling import choose_candidates, choose_uncertain

    i, o, p = snakemake.input, snakemake.output, snakemake.params
    settings = Sampling(**p.sampling)
    if snakemake.wildcards.gen == "0":
        frames = read_frames(i.candidates)
        if len(frames) > p.labels_first:
            frames, _ = choose_candidates(frames, settings.model_copy(update={"candidates": p.labels_first}))
    else:
        known = read_frames(i.dataset) + read_frames(i.quarantine)
        uncertain = [frame for path in i.uncertain for frame in read_frames(path)]
        frames = choose_uncertain(uncertain, known, p.labels_per_generation, p.label_budget, settings)
    write_frames(o.frames, frames)
    config, run = expand(snakemake.config)[0], Path(o.frames).parents[1]
    told = forecast.of_batch(o.frames, config, Ledger(run / "labeled")).record()
    write_record(o.record, {"frames": len(frames), "forecast": told}, list(i))
