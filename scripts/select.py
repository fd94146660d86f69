"""Select the frames that get a label in this generation."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.config.full import Sampling
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.sampling import choose_candidates, choose_uncertain

    p = snakemake.params
    settings = Sampling(**p.sampling)
    if snakemake.wildcards.gen == "0":
        frames = read_frames(snakemake.input.candidates)
        if len(frames) > p.labels_first:
            frames, _ = choose_candidates(frames, settings.model_copy(update={"candidates": p.labels_first}))
    else:
        known = read_frames(snakemake.input.dataset) + read_frames(snakemake.input.quarantine)
        uncertain = [frame for path in snakemake.input.uncertain for frame in read_frames(path)]
        frames = choose_uncertain(uncertain, known, p.labels_per_generation, p.label_budget, settings)
    write_frames(snakemake.output.frames, frames)
