from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ace_cases import potential_for
from ase import Atoms

from mlip_autopipec.ace import (
    ACEPotential,
    BasisSpec,
    CTildePotential,
    build_basis,
    evaluate,
    read_asi,
    read_potential,
    read_yace,
    read_yaml,
    write_asi,
    write_yace,
    write_yaml,
)
from mlip_autopipec.ace.basis import Basis
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.errors import DataError, InputFileError

Case = tuple[ACEPotential, Atoms]


def test_yaml_round_trip_is_exact(case: Case, tmp_path: Path) -> None:
    potential, atoms = case
    write_yaml(tmp_path / "p.yaml", potential)
    again = read_potential(tmp_path / "p.yaml")
    assert isinstance(again, ACEPotential)
    assert again.basis.functions == potential.basis.functions
    assert again.basis.bonds == potential.basis.bonds
    assert again.metadata == {"made_by": "test"}
    np.testing.assert_array_equal(again.coefficients, potential.coefficients)
    assert evaluate(again, atoms).energy == evaluate(potential, atoms).energy


def test_yace_gives_the_energies_and_forces_of_the_yaml(case: Case, tmp_path: Path) -> None:
    potential, atoms = case
    write_yace(tmp_path / "p.yace", potential)
    again = read_potential(tmp_path / "p.yace")
    assert isinstance(again, CTildePotential)
    assert again.metadata == {"made_by": "test"}
    np.testing.assert_allclose(evaluate(again, atoms).energies, evaluate(potential, atoms).energies, atol=1e-10)
    np.testing.assert_allclose(evaluate(again, atoms).forces, evaluate(potential, atoms).forces, atol=1e-10)
    write_yace(tmp_path / "q.yace", again)
    assert (tmp_path / "q.yace").read_text() == (tmp_path / "p.yace").read_text()


def test_files_hold_integers_as_integers_and_floats_with_a_dot(si: ACEPotential, tmp_path: Path) -> None:
    tiny = ACEPotential(si.basis, np.full(si.basis.number_of_functions, 1e-5))
    write_yace(tmp_path / "p.yace", tiny)
    write_yaml(tmp_path / "p.yaml", tiny)
    assert "1.0e-05" in (tmp_path / "p.yaml").read_text()
    assert " 1e-05" not in (tmp_path / "p.yace").read_text()
    assert "lmax: 2," in (tmp_path / "p.yace").read_text()
    assert "E0: [0.0]" in (tmp_path / "p.yace").read_text()


def test_metadata_survives_quotes_colons_and_other_alphabets(si: ACEPotential, tmp_path: Path) -> None:
    metadata = {"note: 1": 'say "yes": #1 \\ two\nlines', "author": "Åsa 铜", "E0": "-1.5e-3"}
    potential = ACEPotential(si.basis, si.coefficients, metadata)
    write_yaml(tmp_path / "p.yaml", potential)
    write_yace(tmp_path / "p.yace", potential)
    assert read_yaml(tmp_path / "p.yaml").metadata == metadata
    assert read_yace(tmp_path / "p.yace").metadata == metadata


def test_general_radial_functions_and_an_element_named_like_a_boolean_survive(tmp_path: Path) -> None:
    plain = build_basis(BasisSpec(("No", "Y"), 4.5, (3, 4)))
    rng = np.random.default_rng(0)
    alike, mixed = (Bond(4.5, 5, "ChebPow", (2.0,), 0.01, rng.normal(size=(3, 2, 5))) for _ in range(2))
    bonds = {(i, j): alike if i == j else mixed for i in (0, 1) for j in (0, 1)}
    potential = potential_for(Basis(plain.elements, bonds, plain.functions))
    write_yaml(tmp_path / "p.yaml", potential)
    write_yace(tmp_path / "p.yace", potential)
    atoms = Atoms("NoY2", positions=[[0, 0, 0], [2, 0, 0], [0, 2.5, 1]])
    expected = evaluate(potential, atoms).energies
    assert read_yaml(tmp_path / "p.yaml").elements == ("No", "Y")
    np.testing.assert_allclose(evaluate(read_yaml(tmp_path / "p.yaml"), atoms).energies, expected, atol=1e-12)
    np.testing.assert_allclose(evaluate(read_yace(tmp_path / "p.yace"), atoms).energies, expected, atol=1e-10)


def test_order_of_functions_in_a_file_does_not_matter(si: ACEPotential, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    write_yaml(path, si)
    lines = path.read_text().splitlines()
    functions = [line for line in lines if "- {type" in line]
    path.write_text("\n".join([line for line in lines if "- {type" not in line] + functions[::-1]) + "\n")
    again = read_yaml(path)
    assert again.basis.functions == si.basis.functions
    np.testing.assert_array_equal(again.coefficients, si.coefficients)


def test_asi_round_trip_is_exact_and_uncompressed(tmp_path: Path) -> None:
    inverses = {"Cu": np.random.default_rng(0).normal(size=(4, 4)).T, "Au": np.eye(2)}
    write_asi(tmp_path / "p.asi", inverses)
    again = read_asi(tmp_path / "p.asi")
    assert set(again) == {"Cu", "Au"}
    np.testing.assert_array_equal(again["Cu"], inverses["Cu"])
    assert np.ascontiguousarray(inverses["Cu"]).tobytes() in (tmp_path / "p.asi").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["p.asi"]


def test_asi_with_bad_matrices_is_neither_written_nor_read(tmp_path: Path) -> None:
    for bad in ({"Cu": np.ones((2, 3))}, {"Cu": np.full((2, 2), np.nan)}, {}):
        with pytest.raises(DataError):
            write_asi(tmp_path / "p.asi", bad)
    assert not list(tmp_path.iterdir())
    write_asi(tmp_path / "p.asi", {"Cu": np.eye(30)})
    (tmp_path / "p.asi").write_bytes((tmp_path / "p.asi").read_bytes()[:3000])
    with pytest.raises(InputFileError, match="not a whole active set"):
        read_asi(tmp_path / "p.asi")
    with pytest.raises(InputFileError, match="no such file"):
        read_asi(tmp_path / "none.asi")


@pytest.mark.parametrize("suffix", [".yaml", ".yace"])
def test_a_file_cut_anywhere_is_never_read_as_a_potential(cuau: ACEPotential, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    (write_yaml if suffix == ".yaml" else write_yace)(path, cuau)
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    whole_lines = ["".join(lines[: len(lines) * k // 8]) for k in range(8)] + ["".join(lines[:-1])]
    for cut in [text[: len(text) * k // 7] for k in range(7)] + whole_lines:
        path.write_text(cut)
        with pytest.raises(InputFileError):
            read_potential(path)


@pytest.mark.parametrize(
    "content", ["", "42", "- a\n- b\n", "{", "species: 3\n", "species: []\n", "\x00\x01", "elements: 5\n"]
)
@pytest.mark.parametrize("reader", [read_yaml, read_yace])
def test_garbage_is_an_input_error(reader: Callable[[Path], object], content: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(content)
    with pytest.raises(InputFileError):
        reader(tmp_path / "p")
    with pytest.raises(InputFileError, match="no such file"):
        reader(tmp_path / "absent")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("npoti: FinnisSinclairShiftedScaled", "npoti: FinnisSinclairShifted", "npoti = 'FinnisSinclairShifted'"),
        ("parameters: [1.0, 1.0]", "parameters: [1.0, 0.0]", "positive exponent"),
        ("ndensityi: 1", "ndensityi: 2", "2 parameters for ndensity = 2"),
        ("parameters: [1.0, 1.0]", "parameters: [1.0, 1.0, 1.0, 0.5]", "4 parameters for ndensity = 1"),
        ("core-repulsion: [0.0, 0.0]", "core-repulsion: [100.0]", "must be two numbers"),
        ("inner_cutoff_type: distance", "inner_cutoff_type: distanc", "Did you mean 'distance'"),
        ("inner_cutoff_type: distance", "inner_cutoff_type: zbl", "delta_in = 0.0"),
        ("r_in: 0.0", "r_in: 1.5", "needs a width"),
        ("drho_core_cut: 250.0", "drho_core_cut: 0.0", "drho_core_cut"),
        ("radbase: SBessel", "radbase: SBesel", "SBesel"),
        ("rcutij: 4.5", "rcutij: .nan", "not finite"),
        ("lint: [0, 0]", "lint: [0, 1]", "cannot couple"),
        ("nr: [1]", "nr: [99]", "exceeds"),
        ("nr: [1]", "nr: [1.5]", "integers"),
        ("DeltaSplineBins: 0.001", "DeltaSplineBins: 0.0", "DeltaSplineBins"),
        ('speciesblock: "Si"', 'speciesblock: "Sj"', "not chemical symbols"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_faithfully_is_refused(
    si: ACEPotential, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.yaml"
    write_yaml(path, si)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputFileError, match=message):
        read_yaml(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("E0: [0.0]", "E0: [-3.5, 1.0]", "for 1 elements"),
        ("npoti: FinnisSinclairShiftedScaled", "npoti: Other", "npoti"),
        ("radbasename: SBessel", "radbasename: ACE.jl.base", "ACE.jl.base"),
        ("inner_cutoff_type: distance", "inner_cutoff_type: zbl", "needs a width"),
        ("ndensity: 1, num_ms", "ndensity: 2, num_ms", "needs 1 densities"),
        ("ms_combs: [0]", "ms_combs: [1]", "impossible m"),
        ("ms_combs: [0]", "ms_combs: [0, 0]", "unlike length"),
        ("ms_combs: [0, 0, 1, -1]", "ms_combs: [0, 1, 1, -1]", "impossible m"),
        ("[0, 0]: {", "[0, 1]: {", r"bonds has no '\(0, 0\)'"),
    ],
)  # fmt: skip
def test_yace_that_means_something_else_is_refused(
    si: ACEPotential, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "p.yace"
    write_yace(path, si)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputFileError, match=message):
        read_yace(path)


def test_numbers_that_yaml_takes_for_text_are_read(si: ACEPotential, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    write_yaml(path, ACEPotential(si.basis, np.full(si.basis.number_of_functions, 1e-5)))
    path.write_text(path.read_text().replace("1.0e-05", "1e-05"))
    np.testing.assert_array_equal(read_yaml(path).coefficients, 1e-5)


def test_skipped_functions_are_left_out(si: ACEPotential, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    write_yaml(path, si)
    path.write_text(path.read_text().replace("nr: [3]", "skip: true, nr: [3]", 1))
    again = read_yaml(path)
    assert again.basis.number_of_functions == si.basis.number_of_functions - 1
    assert not any(f.ns == (3,) for f in again.basis.functions[0])


def test_e0_of_a_contracted_file_is_added_and_kept(si: ACEPotential, tmp_path: Path) -> None:
    path = tmp_path / "p.yace"
    write_yace(path, si)
    path.write_text(path.read_text().replace("E0: [0.0]", "E0: [-3.5]"))
    with_e0 = read_yace(path)
    atoms = Atoms("Si3", positions=[[0, 0, 0], [2, 0, 0], [0, 2.5, 1]])
    expected = evaluate(si, atoms).energies - 3.5
    np.testing.assert_allclose(evaluate(with_e0, atoms).energies, expected, atol=1e-12)
    assert evaluate(with_e0, Atoms("Si")).energy == -3.5
    write_yace(tmp_path / "q.yace", with_e0)
    assert (tmp_path / "q.yace").read_text() == path.read_text()


def test_unlike_kinds_of_inner_cutoff_are_refused(cuau: ACEPotential, tmp_path: Path) -> None:
    for suffix, write in ((".yaml", write_yaml), (".yace", write_yace)):
        path = tmp_path / f"p{suffix}"
        write(path, cuau)
        path.write_text(path.read_text().replace("inner_cutoff_type: distance", "inner_cutoff_type: density", 1))
        with pytest.raises(InputFileError, match="must be the same for all pairs"):
            read_potential(path)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"suffix '.pt'"):
        read_potential(tmp_path / "model.pt")
