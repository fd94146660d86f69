"""The molecule meant becomes a parent in a box that keeps its images apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule as tabulated
from ase.io import write
from molecular_cases import VACUUM, gap_to_images, task

from mlip_autopipec.errors import ConfigError, InputFileError
from mlip_autopipec.frames import has_vacuum, plane_distances
from mlip_autopipec.structures.molecular_graph import bonds, fragments
from mlip_autopipec.structures.molecule import conformers, molecule

ETHANOL = {"C": 2.0, "H": 6.0, "O": 1.0}


def test_water_from_its_formula_alone() -> None:
    (water,) = molecule(task({"H": 2.0, "O": 1.0}))
    assert sorted(water.get_chemical_symbols()) == ["H", "H", "O"]
    oxygen = water.get_chemical_symbols().index("O")
    bond_lengths = water.get_distances(oxygen, [k for k in range(3) if k != oxygen])
    assert bond_lengths == pytest.approx([0.97, 0.97], abs=0.03)
    assert water.info["config_type"] == "molecule"
    assert water.info["prototype"]
    assert water.pbc.all()
    assert np.ptp(water.cell.lengths()) == 0
    assert gap_to_images(water) == pytest.approx(VACUUM)
    assert (plane_distances(water) == 0).all()
    assert has_vacuum(water)


@pytest.mark.parametrize("meant", ["ethanol", "CCO"])
def test_ethanol_has_two_conformers_and_the_same_ones_for_the_same_seed(meant: str) -> None:
    first, again = (molecule(task(ETHANOL, meant=meant)) for _ in range(2))
    assert len(first) == 2  # anti and gauche; the two gauche ones are mirror images
    assert len({frame.info["prototype"] for frame in first}) == 2
    hydroxyl = []
    for frame in first:
        near = [set() for _ in frame]
        for i, j in bonds(frame):
            near[i].add(j), near[j].add(i)
        oxygen = frame.get_chemical_symbols().index("O")
        carbon = next(k for k in near[oxygen] if frame.symbols[k] == "C")
        other = next(k for k in near[carbon] if frame.symbols[k] == "C")
        hydrogen = next(k for k in near[oxygen] if frame.symbols[k] == "H")
        hydroxyl.append(abs((frame.get_dihedral(other, carbon, oxygen, hydrogen) + 180) % 360 - 180))
    assert sorted(hydroxyl) == pytest.approx([60, 180], abs=15)
    assert [frame.info["uid"] for frame in first] == [frame.info["uid"] for frame in again]


def test_a_file_gives_the_shape_it_holds(tmp_path: Path) -> None:
    shape = tabulated("CH3CH2OH")
    shape.positions[0] += 0.1
    write(tmp_path / "mine.xyz", shape)
    (found,) = molecule(task(ETHANOL, meant=str(tmp_path / "mine.xyz")))
    assert found.get_all_distances() == pytest.approx(shape.get_all_distances(), abs=1e-6)


def test_a_file_with_two_molecules_is_refused(tmp_path: Path) -> None:
    pair = tabulated("CH3CH2OH")
    other = pair.copy()
    other.positions += [6, 0, 0]
    write(tmp_path / "pair.xyz", pair + other)
    with pytest.raises(InputFileError, match="holds 2 molecules"):
        molecule(task(ETHANOL, meant=str(tmp_path / "pair.xyz")))


def test_a_molecule_of_another_formula_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"C2H6O.*H2O"):
        molecule(task({"H": 2.0, "O": 1.0}, meant="CCO"))


def test_a_noble_gas_is_one_atom() -> None:
    (argon,) = molecule(task({"Ar": 1.0}))
    assert argon.get_chemical_symbols() == ["Ar"]
    assert argon.cell.lengths() == pytest.approx([VACUUM] * 3)
    assert has_vacuum(argon)


@pytest.mark.parametrize(
    ("smiles", "formula", "longest_bond"),
    [
        ("O=C=O", "CO2", 1.5),
        ("N", "H3N", 1.1),
        ("N#N", "N2", 1.6),
        ("c1ccccc1", "C6H6", 1.45),
        ("FS(F)(F)(F)(F)F", "F6S", 1.8),
        ("C1CC1", "C3H6", 1.6),
        ("P12P3P1P23", "P4", 2.4),
        ("[Xe]", "Xe", 0.0),
    ],
)
def test_shapes_from_smiles_are_whole_molecules(smiles: str, formula: str, longest_bond: float) -> None:
    shapes = conformers(smiles, seed=3)
    assert 1 <= len(shapes) <= 4
    for shape in shapes:
        pairs = bonds(shape)
        assert shape.get_chemical_formula("hill") == formula
        assert len(fragments(len(shape), pairs)) == 1
        assert max([shape.get_distance(i, j) for i, j in pairs], default=0.0) <= longest_bond


def test_what_no_force_field_knows_has_the_shape_that_keeps_its_atoms_apart() -> None:
    (octahedron,) = conformers("FS(F)(F)(F)(F)F", seed=3)
    sulfur = octahedron.get_chemical_symbols().index("S")
    ligands = [k for k in range(7) if k != sulfur]
    angles = sorted(octahedron.get_angle(i, sulfur, j) for k, i in enumerate(ligands) for j in ligands[k + 1 :])
    assert angles == pytest.approx([90] * 12 + [180] * 3, abs=1)
    (bipyramid,) = conformers("FP(F)(F)(F)F", seed=3)
    phosphorus = bipyramid.get_chemical_symbols().index("P")
    ligands = [k for k in range(6) if k != phosphorus]
    angles = sorted(bipyramid.get_angle(i, phosphorus, j) for k, i in enumerate(ligands) for j in ligands[k + 1 :])
    assert angles == pytest.approx([90] * 6 + [120] * 3 + [180], abs=2)
