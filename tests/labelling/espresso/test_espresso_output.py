"""The reader of pw.x outputs: what each real run was, and that no damaged text ever becomes a label."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Ry

from mlip_autopipec.labelling.espresso.__main__ import main
from mlip_autopipec.labelling.espresso.output import PwResult, read_beside, read_pw_output
from mlip_autopipec.labelling.espresso.text import read_text
from mlip_autopipec.labelling.espresso.verdict import Limits, close_pair, judge, structure_of

DATA = Path(__file__).parents[2] / "data" / "qe"
EXPECTED: dict[str, tuple[str, str, bool]] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
USABLE = [case for case, (_, _, usable) in EXPECTED.items() if usable]
CUTS_PER_OUTPUT = 60
FLIPS_PER_OUTPUT = 40


def output(case: str) -> str:
    return (DATA / case / "pw.out").read_text(encoding="utf-8")


def from_text(text: str) -> PwResult:
    return PwResult(path=Path("pw.out"), text=read_text(text), empty=not text.strip())


@pytest.mark.parametrize("case", EXPECTED)
def test_each_real_run_is_recognised(case: str) -> None:
    verdict = judge(read_beside(DATA / case / "pw.out"))
    assert (verdict.outcome, verdict.kind, verdict.usable) == tuple(EXPECTED[case]), verdict.reason
    assert verdict.reason


@pytest.mark.parametrize("case", USABLE)
def test_truncated_output_never_yields_a_label(case: str) -> None:
    whole = output(case)
    rng = random.Random(case)
    ends = [rng.randrange(len(whole.rstrip())) for _ in range(CUTS_PER_OUTPUT)]
    for end in [*ends, 0, len(whole.rstrip()) - 1, whole.rfind("Forces acting") + 200]:
        assert not judge(from_text(whole[:end])).usable, f"cut at {end}"


@pytest.mark.parametrize("case", USABLE)
def test_flipped_digit_changes_no_label_unnoticed(case: str) -> None:
    """A digit flipped in the header or in the results is refused, or the label is the same (to printed precision)."""
    whole = output(case)
    truth = from_text(whole)
    atoms = structure_of(truth)
    rng = random.Random(case)
    last = whole.rfind("\n!")
    for first, end in ((0, whole.find("Self-consistent Calculation")), (last, whole.find("init_run", last))):
        digits = [i for i in range(first, end) if whole[i].isdigit()]
        for place in rng.sample(digits, min(FLIPS_PER_OUTPUT, len(digits))):
            flipped = rng.choice([d for d in "0123456789" if d != whole[place]])
            result = from_text(whole[:place] + flipped + whole[place + 1 :])
            if not judge(result, atoms).usable:
                continue
            assert result.text.energy_ev == pytest.approx(truth.text.energy_ev, abs=2e-5), f"at {place}"
            np.testing.assert_allclose(result.text.forces, truth.text.forces, atol=1e-3)
            largest = np.abs(truth.text.stress).max()
            np.testing.assert_allclose(result.text.stress, truth.text.stress, atol=1e-5 + 2e-4 * largest)


@pytest.mark.parametrize("lost", ["!    total energy", "Forces acting on atoms", "total   stress", "atom    5 type  1"])
def test_lost_line_is_not_a_label(lost: str) -> None:
    lines = output("ok_si8_rattled_nosym").splitlines(keepends=True)
    kept = [line for line in lines if lost not in line]
    assert len(kept) < len(lines)
    assert not judge(from_text("".join(kept))).usable


@pytest.mark.parametrize("word", ["NaN", "*********", "Infinity"])
def test_number_that_is_none_is_not_a_label(word: str) -> None:
    whole = output("ok_si8_rattled_nosym")
    for number in ("-63.26040440 Ry\n     estimated scf accuracy    <          1.4E-09", "0.04557268", "-0.00014569"):
        assert number in whole
        assert not judge(from_text(whole.replace(number, number.replace(number.split()[0], word)))).usable


def test_numbers_are_those_that_are_printed() -> None:
    text = read_text(output("ok_si8_rattled_nosym"))
    assert text.energy_ev == pytest.approx(-63.26040440 * Ry)
    assert text.forces is not None
    assert text.forces.shape == (8, 3)
    np.testing.assert_allclose(text.forces[0], np.array([-0.04609113, 0.01613319, -0.00892044]) * Ry / Bohr)
    assert text.stress is not None  # printed pressure is negative (tension), ASE's stress then positive
    expected = np.array([15268, 14569, 17004, -14190, 13287, -19070]) * 1e-8 * Ry / Bohr**3
    np.testing.assert_allclose(text.stress, expected)
    assert text.version == "6.7MaX"
    assert text.cpu_seconds == pytest.approx(2.72)
    assert (text.conv_thr_ry, text.scf_accuracy_ry, text.iterations) == (1e-8, 1.4e-9, 11)


def test_structure_is_read_back() -> None:
    structure = structure_of(from_text(output("ok_si8_rattled_nosym")))
    assert structure is not None
    assert str(structure.symbols) == "Si8"
    np.testing.assert_allclose(structure.cell.lengths(), 5.43, atol=1e-5)
    np.testing.assert_allclose(structure.positions[1], [1.303851568892, 1.400770381466, 1.242423065156], atol=1e-5)


def test_hybrid_takes_its_last_energy() -> None:
    assert read_text(output("ok_si2_pbe0_hybrid")).energy_ev == pytest.approx(-14.51207201 * Ry)


def test_high_verbosity_takes_total_forces_and_not_contributions() -> None:
    text = read_text(output("ok_si2_paw_like_verb_high"))
    assert text.forces is not None
    np.testing.assert_allclose(text.forces[0] * Bohr / Ry, [-0.08229436, 0.03366680, -0.04671622])


def test_site_moments_of_old_versions_are_read() -> None:
    text = read_text(output("ok_fe2_mag_nspin2"))
    assert text.site_moments == [2.6025, 2.6024]
    assert (text.total_magnetization, text.absolute_magnetization) == (5.09, 5.41)


def test_site_moments_of_new_versions_are_read() -> None:
    new = output("ok_fe2_mag_nspin2")
    for atom, charge, moment in ((1, "6.2483", "2.6025"), (2, "6.2481", "2.6024")):
        old = f"     atom:    {atom}    charge:    {charge}    magn:    {moment}    constr:    0.0000"
        assert old in new
        new = new.replace(old, f"     atom   {atom} (R=0.357)  charge=  {charge}  magn=  {moment}")
    assert read_text(new).site_moments == [2.6025, 2.6024]


def test_output_of_another_structure_is_refused() -> None:
    result = read_beside(DATA / "ok_si8_rattled_nosym")
    same = structure_of(result)
    assert same is not None
    assert judge(result, same).usable
    wrapped = same.copy()
    wrapped.positions[0] += wrapped.cell[1]
    assert judge(result, wrapped).usable, "a periodic image is the same structure"
    moved, stretched, exchanged = same.copy(), same.copy(), same.copy()
    moved.positions[3, 1] += 0.01
    stretched.set_cell(stretched.cell * 1.001)
    exchanged.symbols[0] = "Ge"
    for other in (moved, stretched, exchanged, same[:-1]):
        assert judge(result, other).rejected_by == "other_structure"


def test_xml_of_another_run_is_a_contradiction() -> None:
    path = DATA / "ok_si8_rattled_nosym" / "pw.out"
    xml = DATA / "ok_o2_triplet_gamma" / "data-file-schema.xml"
    verdict = judge(read_pw_output(path, exit_code=0, xml=xml))
    assert (verdict.usable, verdict.outcome) == (False, "inconsistent")


def test_failing_exit_code_refuses_a_whole_text() -> None:
    path = DATA / "ok_si8_rattled_nosym" / "pw.out"
    assert judge(read_pw_output(path, exit_code=0)).usable
    assert not judge(read_pw_output(path, exit_code=1)).usable


def test_force_ceiling_refuses_with_the_force() -> None:
    verdict = judge(read_beside(DATA / "ok_si8_rattled_nosym"), limits=Limits(maximum_force_ev_per_angstrom=1.0))
    assert (verdict.rejected_by, verdict.kind) == ("force_too_large", "structure")
    assert "above 1 eV/A" in verdict.reason


def test_close_pair_sees_periodic_images_and_sizes() -> None:
    silicon = Atoms("Si2", positions=[(0, 0, 0), (0, 0, 4.9)], cell=[5.0, 5.0, 5.0], pbc=True)
    assert "0.10 A" in (close_pair(silicon, 0.5) or "")
    hydrogen = Atoms("H2", positions=[(0, 0, 0), (0, 0, 0.74)], cell=[6.0, 6.0, 6.0], pbc=True)
    assert close_pair(hydrogen, 0.5) is None


def test_command_line_prints_one_json_object_per_output(capsys: pytest.CaptureFixture[str]) -> None:
    cases = ["ok_si8_rattled_nosym", "fail_missing_pseudo", "fail_pw_not_found"]
    assert main([str(DATA / case / "pw.out") for case in cases]) == 1
    good, missing, absent = map(json.loads, capsys.readouterr().out.splitlines())
    assert (good["usable"], good["forces_shape"], good["class"]) == (True, [8, 3], "ok")
    assert (missing["outcome"], missing["class"], missing["energy_ev"]) == ("pseudo_missing", "configuration", None)
    assert "command not found" in absent["reason"]


def test_several_outputs_in_a_folder_do_not_share_a_crash_file(tmp_path: Path) -> None:
    (tmp_path / "CRASH").write_text((DATA / "fail_missing_pseudo" / "CRASH").read_text(encoding="utf-8"))
    for name in ("a.pwo", "b.pwo"):
        (tmp_path / name).write_text(output("ok_si8_rattled_nosym"))
    assert judge(read_beside(tmp_path / "a.pwo")).usable
    (tmp_path / "b.pwo").unlink()
    assert not judge(read_beside(tmp_path / "a.pwo")).usable
