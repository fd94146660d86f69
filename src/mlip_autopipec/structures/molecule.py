"""The source `molecule`: the molecule meant, as parents in boxes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.optimize import minimize

from mlip_autopipec.config.elements import NOBLE_GASES
from mlip_autopipec.config.molecules import molecule_of, resolve
from mlip_autopipec.errors import ConfigError, InputFileError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures.molecular_graph import bonds, fragments, shape
from mlip_autopipec.structures.placing import in_box
from mlip_autopipec.structures.task import Task

CONFORMERS_TRIED, CONFORMERS_KEPT = 20, 4
_RIGID_ATOMS = 4  # molecules of so few atoms have one conformer
_SAME_SHAPE_ANGSTROM = 0.2
_SEED_LIMIT = 2**31
_BONDS_MAX = 4


def molecule(task: Task) -> list[Atoms]:
    """The molecule in a cubic box, its images `vacuum_angstrom` apart; of a flexible one the lowest few conformers.

    The molecule is the config's `molecule` (name, SMILES or file), else the one of the formula; of a noble gas it is
    the single atom. A file's shape is taken as it is, others are made from the SMILES with RDKit.

    Raises:
        ConfigError: the molecule is not known, not of the formula, or no shape is found for it.
        InputFileError: its file holds several molecules.
    """
    name, shapes = _shapes(task)
    frames = []
    for k, found in enumerate(shapes):
        word = name if k == 0 else f"{name}-{k + 1}"
        box = in_box(found, task.settings.vacuum_angstrom, cubic=True)
        origin = f"molecule {name}" + (f", conformer {k + 1}" if len(shapes) > 1 else "")
        frames.append(new_frame(box, origin=origin, config_type="molecule", prototype=word))
    return frames


def _shapes(task: Task) -> tuple[str, list[Atoms]]:
    """The molecule's name and shapes (no cell), most stable first."""
    if not task.molecule and len(task.elements) == 1 and task.elements[0] in NOBLE_GASES:
        return task.elements[0], [Atoms(task.elements[0])]
    named = resolve(task.molecule, task.amounts) if task.molecule else molecule_of(task.amounts)
    word = "-".join(named.name.split()) or task.composition
    if named.file:
        return word, [_from_file(Path(named.file))]
    return word, conformers(named.smiles, int(task.random("molecule").integers(_SEED_LIMIT)))


def conformers(smiles: str, seed: int) -> list[Atoms]:
    """Distinct shapes of a molecule from its SMILES, lowest energy first, at most `CONFORMERS_KEPT`.

    Shapes are embedded with ETKDGv3 (Riniker and Landrum, J. Chem. Inf. Model. 55, 2562, 2015; Wang et al., ibid. 60,
    2044, 2020) and relaxed with MMFF94 (Halgren 1996), or UFF (Rappe et al. 1992) where MMFF94 lacks an atom type, or
    by keeping apart what is not bonded.

    Raises:
        ConfigError: RDKit finds no shape.
    """
    with import_module("rdkit.rdBase").BlockLogs():  # it complains of the atoms that a force field does not know
        whole, numbers, energies = _embedded(smiles, seed)
    symbols = [atom.GetSymbol() for atom in whole.GetAtoms()]
    if len(symbols) == 1:
        return [Atoms(symbols)]
    if not numbers:
        raise ConfigError(
            "molecule", smiles, "no shape is found for this molecule", "Give a file with its coordinates."
        )
    shapes = [Atoms(symbols, positions=whole.GetConformer(k).GetPositions()) for k in numbers]
    if energies is None:
        pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in whole.GetBonds()]
        shapes = [_pushed_apart(shape, pairs) for shape in shapes]
    else:
        shapes = [shapes[k] for k in np.argsort(energies)]
    return _distinct(shapes)[:CONFORMERS_KEPT]


def _embedded(smiles: str, seed: int) -> tuple[Any, list[int], list[float] | None]:
    """RDKit's molecule, the numbers of its conformers, and their energies (see `_force_field`)."""
    Chem, AllChem = import_module("rdkit.Chem"), import_module("rdkit.Chem.AllChem")  # slow, and only needed here
    whole = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = seed
    wanted = 1 if whole.GetNumAtoms() <= _RIGID_ATOMS else CONFORMERS_TRIED
    numbers = list(AllChem.EmbedMultipleConfs(whole, wanted, parameters))
    if not numbers:
        parameters.useRandomCoords = True  # strained and crowded molecules
        numbers = list(AllChem.EmbedMultipleConfs(whole, wanted, parameters))
    return whole, numbers, _force_field(whole) if numbers else None


def _force_field(whole: Any) -> list[float] | None:
    """Relaxes all conformers in place; energies in kcal/mol, or None where no force field knows the atoms.

    Neither does where an atom has more than four bonds: UFF keeps such a phosphorus tetrahedral.
    """
    if max(atom.GetDegree() for atom in whole.GetAtoms()) > _BONDS_MAX:
        return None
    AllChem = import_module("rdkit.Chem.AllChem")
    if AllChem.MMFFHasAllMoleculeParams(whole):
        return [energy for _, energy in AllChem.MMFFOptimizeMoleculeConfs(whole, maxIters=1000)]
    if AllChem.UFFHasAllMoleculeParams(whole):
        return [energy for _, energy in AllChem.UFFOptimizeMoleculeConfs(whole, maxIters=1000)]
    return None


def _pushed_apart(found: Atoms, pairs: list[tuple[int, int]]) -> Atoms:
    """Bonds at the sum of covalent radii (Cordero 2008), everything else as far apart as they allow: an octahedron for
    SF6, a trigonal bipyramid for PF5 (Gillespie and Nyholm, Q. Rev. Chem. Soc. 11, 339, 1957, without lone pairs)."""
    one, two = np.triu_indices(len(found), k=1)
    radii = covalent_radii[found.numbers]
    bonded = np.zeros((len(found), len(found)), dtype=bool)
    bonded[tuple(np.array(pairs).T)] = True
    bonded = (bonded | bonded.T)[one, two]

    def energy(flat: np.ndarray) -> float:
        positions = flat.reshape(-1, 3)
        ratio = np.linalg.norm(positions[one] - positions[two], axis=1) / (radii[one] + radii[two])
        return float(np.where(bonded, 100 * (ratio - 1) ** 2, 1 / np.maximum(ratio, 0.1) ** 2).sum())

    best = minimize(energy, found.positions.ravel()).x.reshape(-1, 3)
    return Atoms(numbers=found.numbers, positions=best)


def _distinct(shapes: list[Atoms]) -> list[Atoms]:
    kept: list[Atoms] = []
    marks: list[np.ndarray] = []
    for found in shapes:
        mark = shape(found.numbers, found.positions)
        if all(np.abs(mark - other).max() > _SAME_SHAPE_ANGSTROM for other in marks):
            kept.append(found)
            marks.append(mark)
    return kept


def _from_file(path: Path) -> Atoms:
    found = ase.io.read(path)
    assert isinstance(found, Atoms)
    number = len(fragments(len(found), bonds(found)))
    if number > 1:
        raise InputFileError(
            path,
            f"holds {number} molecules (parts without a bond), not one",
            "Name a file with the coordinates of one whole molecule; a crystal is meant by the key 'structure'.",
        )
    return Atoms(numbers=found.numbers, positions=found.positions)
