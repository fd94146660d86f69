"""Make pacemaker's dataset. Run by the Python of pacemaker's environment: `python pacemaker_dataset.py IN.npz OUT`.

A pickled table can be read only by the pandas (and numpy) that wrote it, so the pickle must be made over there, from an
array file that every numpy reads. Only numpy, pandas and ASE are imported, and no Python newer than 3.8 is needed.

IN.npz: `natoms` (S), `numbers` (N), `positions` (N x 3, A), `cells` (S x 3 x 3, A), `pbc` (S x 3), `energies` (S, eV),
`forces` (N x 3, eV/A), `energy_weights` (S), `force_weights` (N), `names` (S), N being all atoms of all S frames.
Columns: manual of pacemaker, "Fitting dataset".
"""

import sys


def main(source: str, target: str) -> None:
    """Write the table of the frames in `source` to `target` (.pckl.gzip)."""
    import numpy
    import pandas
    from ase import Atoms

    data = numpy.load(source, allow_pickle=False)
    rows, first = [], 0
    for frame, count in enumerate(data["natoms"]):
        atoms = slice(first, first + int(count))
        first += int(count)
        structure = Atoms(
            numbers=data["numbers"][atoms],
            positions=data["positions"][atoms],
            cell=data["cells"][frame],
            pbc=data["pbc"][frame],
        )
        rows.append(
            {
                "ase_atoms": structure,
                "energy_corrected": float(data["energies"][frame]),
                "forces": data["forces"][atoms],
                "w_energy": float(data["energy_weights"][frame]),
                "w_forces": data["force_weights"][atoms],
                "name": str(data["names"][frame]),
            }
        )
    pandas.DataFrame(rows).to_pickle(target, compression="gzip", protocol=4)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
