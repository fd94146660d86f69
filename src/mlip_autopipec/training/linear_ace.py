"""Our trainer: a linear ACE by regularised least squares, with its active set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.ace import (
    ACEPotential,
    Basis,
    BasisSpec,
    DesignRows,
    Factor,
    build_basis,
    design_rows,
    write_asi,
    write_yace,
    write_yaml,
)
from mlip_autopipec.ace.active_set import select
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.full import Training
from mlip_autopipec.errors import DataError
from mlip_autopipec.metrics import EV_PER_ANGSTROM3_IN_GPA, by_type, compare, summarise
from mlip_autopipec.potential import load_potential, metadata
from mlip_autopipec.repulsion import ZBL
from mlip_autopipec.training.delta import Target, isolated_atom_energies, subtract


def train(frames: list[Atoms], settings: Training, yaml: Path, yace: Path, asi: Path) -> dict[str, Any]:
    """Fit energies, forces and stresses together and write the three files of the potential.

    Rows are weighted: energy_weight / sqrt(N) for the total energy, 1 for a force component, stress_weight / sqrt(N)
    for dE/dstrain. The prior damps functions of high degree, its strength is chosen by the evidence
    (MacKay 1992; van der Oord et al., npj Comput. Mater. 9, 168, 2023).

    Args:
        frames: labelled frames, isolated atoms among them.
        settings: the config's section `training`.
        yaml, yace, asi: where the potential is written.

    Returns:
        The record: basis, weights, regularisation, errors on the training data, warnings.

    Raises:
        DataError: a label is not a number, or there are too few atoms for the smallest basis.
    """
    references, warnings = isolated_atom_energies(frames)
    baseline = ZBL(settings.zbl_inner_angstrom, settings.zbl_outer_angstrom) if settings.baseline == "zbl" else None
    targets = subtract(frames, references, baseline)
    basis, degrees = choose_basis(targets, settings)

    factor = Factor(basis.number_of_functions + 1)  # the last column is the offset of the stresses
    environments: dict[str, list[np.ndarray]] = {symbol: [] for symbol in basis.elements}
    for target in targets:
        rows = design_rows(basis, target.frame)
        factor.append(*weighted(rows, target, settings))
        symbols = np.array(target.frame.get_chemical_symbols())
        for mu, symbol in enumerate(basis.elements):
            environments[symbol].append(rows.per_atom[symbols == symbol][:, basis.columns(mu)])
    solution = factor.solve(np.append(basis.smoothness, 1.0))
    coefficients, offset_ev_per_angstrom3 = solution.coefficients[:-1], float(solution.coefficients[-1])

    potential = ACEPotential(basis, coefficients, metadata(references, baseline, trainer="mlip-autopipec"))
    active = {symbol: select(np.concatenate(rows), symbol) for symbol, rows in environments.items()}
    with atomic_path(yaml) as y, atomic_path(yace) as c, atomic_path(asi) as a:
        write_yaml(y, potential)
        write_yace(c, potential)
        write_asi(a, {symbol: one.inverse for symbol, one in active.items()})

    compared = compare([t.frame for t in targets], load_potential(yaml))
    return {
        "trainer": settings.trainer,
        "functions": basis.number_of_functions,
        "degrees": list(degrees),
        "cutoff_angstrom": settings.cutoff_angstrom,
        "environments": sum(len(t.frame) for t in targets),
        "frames": len(targets),
        "directions_without_data": {symbol: one.virtual for symbol, one in active.items()},
        "reference_energies_ev": references,
        "ridge": solution.ridge,
        "log_evidence": solution.log_evidence,
        "stress_offset_gpa": offset_ev_per_angstrom3 * EV_PER_ANGSTROM3_IN_GPA,
        "energy_weight": settings.energy_weight,
        "stress_weight": settings.stress_weight,
        "train": summarise(compared) | {"functions": basis.number_of_functions},
        "train_by_type": by_type(compared),
        "warnings": warnings,
    }


def choose_basis(targets: list[Target], settings: Training) -> tuple[Basis, list[int]]:
    """The largest basis that leaves `environments_per_function` atoms per function of every element.

    gamma means something only with many more environments than functions, so the basis grows with the data. A single
    entry in `degrees` is taken as it is.

    Raises:
        DataError: even the smallest basis has more functions than atoms.
    """
    symbols = [s for target in targets for s in target.frame.get_chemical_symbols()]
    counts = {symbol: symbols.count(symbol) for symbol in sorted(set(symbols))}
    chosen: tuple[Basis, list[int]] | None = None
    for degrees in settings.degrees:
        basis = build_basis(BasisSpec(tuple(counts), settings.cutoff_angstrom, tuple(degrees)))
        ratio = min(counts[s] / basis.counts[mu] for mu, s in enumerate(basis.elements))
        if ratio < (settings.environments_per_function if chosen else 1.0):
            break
        chosen = basis, degrees
    if chosen is None:
        smallest = settings.degrees[0]
        raise DataError(
            f"{counts} atoms in {len(targets)} labelled frames are too few for the smallest basis "
            f"training.degrees[0] = {smallest}. Label more frames or write a smaller basis"
        )
    return chosen


def weighted(rows: DesignRows, target: Target, settings: Training) -> tuple[np.ndarray, np.ndarray]:
    """Rows (M, functions + 1) and right-hand side (M,) of one frame, weighted.

    The last column is an isotropic offset of all stresses (eV/A^3). A plane-wave basis that is not complete makes
    stresses that are not the derivative of the energies (Pulay stress; Froyen and Cohen, J. Phys. C 19, 2623, 1986):
    the offset is learnt with the potential instead of bending its equation of state.
    """
    per_atom = 1.0 / np.sqrt(len(target.frame))
    energy = settings.energy_weight * per_atom
    blocks = [energy * rows.energy[None, :], rows.forces]
    values = [np.array([energy * target.energy_ev]), target.forces.ravel()]
    offset = [np.zeros(1 + target.forces.size)]
    if target.strain_derivative_ev is not None and settings.stress_weight > 0:
        stress = settings.stress_weight * per_atom
        blocks.append(stress * rows.strain)
        values.append(stress * target.strain_derivative_ev)
        offset.append(stress * target.frame.get_volume() * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]))
    return np.column_stack([np.vstack(blocks), np.concatenate(offset)]), np.concatenate(values)
