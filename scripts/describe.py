"""Make the vectors that the frames of one file are told apart by."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from pathlib import Path

    from mlip_autopipec.config import expand
    from mlip_autopipec.sampling import configured_describer, describe

    config, frames = expand(snakemake.config)[0], snakemake.input.frames
    known = Path(frames).with_suffix(".invariants.npz")  # left by a walker, where it had them
    describe(frames, snakemake.output.features, configured_describer(config), known)
