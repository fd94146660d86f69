"""Write the isolated atoms that the energies refer to."""

from mlip_autopipec.console import job
from mlip_autopipec.frames import write_frames
from mlip_autopipec.structures.reference import isolated_atoms

with job(snakemake.log[0]):
    write_frames(snakemake.output[0], isolated_atoms(snakemake.params.symbols, snakemake.params.box_angstrom))
