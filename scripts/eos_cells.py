"""Write the cells of the equation of state."""

from mlip_autopipec.config.full import Structures
from mlip_autopipec.console import job
from mlip_autopipec.frames import write_frames
from mlip_autopipec.structures import volume_series

with job(snakemake.log[0]):
    p = snakemake.params
    write_frames(
        snakemake.output[0], volume_series(p.symbol, Structures(**p.structures), p.points, p.volume_strain_max)
    )
