"""Write the starting structures."""

from mlip_autopipec.config.full import Structures
from mlip_autopipec.console import job
from mlip_autopipec.frames import write_frames
from mlip_autopipec.structures import generate

with job(snakemake.log[0]):
    p = snakemake.params
    write_frames(snakemake.output[0], generate(p.symbol, Structures(**p.settings), p.seed))
