"""Take the test frames from the test walkers."""

from mlip_autopipec.console import job
from mlip_autopipec.exploration import spread
from mlip_autopipec.frames import read_frames, write_frames

with job(snakemake.log[0]):
    write_frames(snakemake.output.frames, spread([read_frames(p) for p in snakemake.input], snakemake.params.number))
