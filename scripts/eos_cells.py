"""Write the cells that the last potential is compared with DFT on."""

from mlip_autopipec.console import job

with job(snakemake.log[0]):
    from mlip_autopipec.config import expand
    from mlip_autopipec.frames import read_frames, write_frames
    from mlip_autopipec.structures.reference import reference_series

    p = snakemake.params
    settings = expand(snakemake.config)[0].structures
    reference = read_frames(snakemake.input.parents)[0]
    write_frames(snakemake.output[0], reference_series(reference, settings, p.points, p.volume_strain_max))
