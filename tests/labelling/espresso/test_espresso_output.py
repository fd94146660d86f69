"""The reader of pw.x outputs: what each real run was, and that no damaged text ever becomes a label."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Ry

from mlip_autopipec.labelling.espresso.fields import seconds
from mlip_autopipec.labelling.espresso.output import PwResult, read_beside, read_pw_output
from mlip_autopipec.labelling.espresso.text import read_text
from mlip_autopipec.labelling.espresso.verdict import Limits, close_pair, judge, structure_of

DATA = Path(__file__).parents[2] / "data" / "qe"
EXPECTED: dict[str, tuple[str, str, bool]] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))


def output(case: str) -> str:
    return (DATA / case / "pw.out").read_text(encoding="utf-8")


def from_text(text: str) -> PwResult:
    return PwResult(path=Path("pw.out"), text=read_text(text), empty=not text.strip())


@pytest.mark.parametrize("case", EXPECTED)
def test_each_real_run_is_recognised(case: str) -> None:
    verdict = judge(read_beside(DATA / case / "pw.out"))
    assert (verdict.outcome, verdict.kind, verdict.usable) == tuple(EXPECTED[case]), verdict.reason
    assert verdict.reason


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


def test_xml_of_another_structure_is_left_aside() -> None:
    path = DATA / "ok_si8_rattled_nosym" / "pw.out"
    result = read_pw_output(path, exit_code=0, xml=DATA / "ok_o2_triplet_gamma" / "data-file-schema.xml")
    assert (result.xml, judge(result).usable) == (None, True)
    assert "2 atoms, not 8" in " ".join(result.text.warnings)


@pytest.mark.parametrize(
    ("tag", "words"),
    [("etot", "energies"), ("forces", "forces"), ("stress", "stresses"), ("convergence_achieved", "did not converge")],
)
def test_xml_that_contradicts_refuses(tag: str, words: str, tmp_path: Path) -> None:
    whole = (DATA / "ok_si8_rattled_nosym" / "data-file-schema.xml").read_text(encoding="utf-8")
    start = whole.index(">", whole.rfind(f"<{tag}")) + 1
    first = whole[start:].split("<")[0].split()[0]
    other = "false" if first == "true" else f"{float(first) + 1e-4:.12e}"
    (tmp_path / "other.xml").write_text(whole[:start] + whole[start:].replace(first, other, 1))
    verdict = judge(read_pw_output(DATA / "ok_si8_rattled_nosym" / "pw.out", exit_code=0, xml=tmp_path / "other.xml"))
    assert (verdict.outcome, verdict.usable) == ("inconsistent", False)
    assert words in verdict.reason


def test_xml_of_another_magnetisation_refuses(tmp_path: Path) -> None:
    whole = (DATA / "ok_o2_triplet_gamma" / "data-file-schema.xml").read_text(encoding="utf-8")
    (tmp_path / "other.xml").write_text(re.sub(r"<absolute>[^<]*<", "<absolute>0.5<", whole))
    path = DATA / "ok_o2_triplet_gamma" / "pw.out"
    assert judge(read_pw_output(path, exit_code=0, xml=DATA / "ok_o2_triplet_gamma" / "data-file-schema.xml")).usable
    assert "magnetisations" in judge(read_pw_output(path, exit_code=0, xml=tmp_path / "other.xml")).reason


@pytest.mark.parametrize("content", ["", "<a", "<a/>", "<a><output><forces>x</forces></output></a>"])
def test_damaged_xml_is_no_witness(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text(content)
    assert judge(read_pw_output(DATA / "ok_si8_rattled_nosym" / "pw.out", exit_code=0, xml=tmp_path / "x.xml")).usable


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


def test_several_outputs_in_a_folder_do_not_share_a_crash_file(tmp_path: Path) -> None:
    (tmp_path / "CRASH").write_text((DATA / "fail_missing_pseudo" / "CRASH").read_text(encoding="utf-8"))
    for name in ("a.pwo", "b.pwo"):
        (tmp_path / name).write_text(output("ok_si8_rattled_nosym"))
    assert judge(read_beside(tmp_path / "a.pwo")).usable
    (tmp_path / "b.pwo").unlink()
    assert judge(read_beside(tmp_path / "a.pwo")).rejected_by == "crash_beside"


def test_crash_file_of_another_run_needs_a_second_witness() -> None:
    path, crash = DATA / "ok_si8_rattled_nosym" / "pw.out", DATA / "fail_missing_pseudo" / "CRASH"
    alone = judge(read_pw_output(path, crash=crash))
    assert (alone.outcome, alone.usable, alone.rejected_by) == ("ok", False, "crash_beside")
    ended = read_pw_output(path, crash=crash, exit_code=0)
    assert judge(ended).usable
    assert any("CRASH" in warning for warning in ended.text.warnings)
    assert judge(read_pw_output(path, crash=crash, xml=path.parent / "data-file-schema.xml")).usable


def test_last_run_in_a_file_counts() -> None:
    good, failed = output("ok_si8_rattled_nosym"), output("fail_missing_pseudo")
    assert judge(from_text(failed + good)).usable
    assert judge(from_text(good[:9000] + "\n" + good)).usable
    assert judge(from_text(good + failed)).outcome == "pseudo_missing"
    assert judge(from_text(good + good[:9000])).outcome == "truncated"
    result = from_text(failed + good)
    assert result.text.runs == 2
    assert "2 runs" in result.text.warnings[0]


def test_windows_line_ends_are_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "pw.out").write_bytes(output("ok_si8_rattled_nosym").replace("\n", "\r\n").encode())
    assert judge(read_beside(tmp_path)).usable


@pytest.mark.parametrize("name", ["gzip", "noise", "another program"])
def test_what_is_no_text_of_pw_says_so(name: str, tmp_path: Path) -> None:
    raw = {
        "gzip": gzip.compress(output("ok_si8_rattled_nosym").encode()),
        "noise": bytes(range(256)) * 20,
        "another program": b"LAMMPS (22 Jul 2025)\nLoop time of 1 on 1 procs\n",
    }[name]
    (tmp_path / "pw.out").write_bytes(raw)
    verdict = judge(read_beside(tmp_path))
    assert (verdict.outcome, verdict.usable) == ("truncated", False)
    assert "not the text of a pw.x run" in verdict.reason


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("srun: error: Unable to allocate resources: Invalid account", "configuration", "never started"),
        ("pw.x: error while loading shared libraries: libfftw3.so.3", "configuration", "never started"),
        ("mpirun was unable to find the specified executable file", "configuration", "never started"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0", "infrastructure", "out of memory"),
        ("slurmstepd: error: *** JOB 1 ON n1 CANCELLED DUE TO TIME LIMIT ***", "infrastructure", "time limit"),
        ("write: No space left on device", "infrastructure", "disk full"),
        ("Program received signal SIGSEGV: Segmentation fault", "infrastructure", "SIGSEGV"),
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_what_ended_a_run_is_told(said: str, kind: str, words: str, merged: bool, tmp_path: Path) -> None:
    """The error stream may be a file of its own or be mixed into the output."""
    begun = output("ok_si8_rattled_nosym")[:7000] + "\n" if kind == "infrastructure" else ""
    (tmp_path / "pw.out").write_text(begun + (said if merged else ""))
    (tmp_path / "pw.err").write_text("" if merged else said)
    verdict = judge(read_beside(tmp_path))
    assert (verdict.outcome, verdict.kind) == ("truncated", kind)
    assert words in verdict.reason


@pytest.mark.parametrize(
    ("routine", "message", "outcome", "kind"),
    [
        ("cdiaghg (668)", "problems computing cholesky", "diag", "physics"),
        ("electrons (1)", "charge is wrong: smearing is needed", "bad_input", "configuration"),
        ("electrons (1)", "charge is wrong", "error", "physics"),
        ("check_atoms (1)", "atoms #   1 and #   2 differ by lattice vector ( 0, 0,-1)", "atoms_overlap", "structure"),
        ("divide_et_impera (1)", "some nodes have no k-points", "bad_input", "configuration"),
        ("davcio (28)", 'error writing file "./tmp/pwscf.wfc1"', "tempdir", "infrastructure"),
        ("read_conf_from_file (1)", "fatal error reading xml file", "tempdir", "infrastructure"),
        ("upf_bispline (3)", "no such thing", "bad_input", "configuration"),
    ],
)
def test_error_boxes_are_classified_by_routine_and_message(routine: str, message: str, outcome: str, kind: str) -> None:
    begun = output("ok_si8_rattled_nosym")[: 8000 if kind in ("physics", "infrastructure") else 4000]
    box = f"\n {'%' * 78}\n     Error in routine {routine}:\n     {message}\n {'%' * 78}\n\n     stopping ...\n"
    verdict = judge(from_text(begun + box))
    assert (verdict.outcome, verdict.kind, verdict.usable) == (outcome, kind, False)


def as_version_7(text: str) -> str:
    """The same run as 7.x prints it (PW/src/summary.f90, electrons.f90, Modules/environment.f90 of 7.5)."""
    text = text.replace("Program PWSCF v.6.7MaX", "Program PWSCF v.7.3.1")
    text = text.replace(
        "     Parallel version (MPI), running on     1 processors",
        "     Parallel version (MPI & OpenMP), running on       8 processor cores\n"
        "     Number of MPI processes:                 4\n     Threads/MPI process:                     2",
    )
    text = text.replace("sum of the following terms:\n\n", "sum of the following terms:\n")
    return text.replace(
        "Writing output data file ./tmp/pwscf.save/", "Writing all to output data dir ./tmp/pwscf.save/"
    )


def test_text_of_version_7_reads_alike() -> None:
    old, new = read_text(output("ok_si8_rattled_nosym")), read_text(as_version_7(output("ok_si8_rattled_nosym")))
    assert judge(from_text(as_version_7(output("ok_si8_rattled_nosym")))).usable
    assert (new.version, new.ranks, new.energy_ev) == ("7.3.1", 4, old.energy_ev)
    assert new.cpu_seconds == pytest.approx(4 * old.cpu_seconds)


def test_parts_of_a_paw_term_are_not_added_twice() -> None:
    whole = output("ok_si8_rattled_nosym")
    ewald = next(line for line in whole.splitlines() if "ewald contribution" in line)
    paw = (
        f"{ewald}\n     one-center paw contrib.   =       0.00000000 Ry\n"
        "      -> PAW hartree energy AE =     301.05661058 Ry\n      -> total E_XC with PAW   =    -126.25265257 Ry"
    )
    assert judge(from_text(whole.replace(ewald, paw))).usable
    assert not judge(from_text(whole.replace(ewald, paw.replace("   0.00000000", "   0.10000000")))).usable


def test_noncollinear_magnetisation_is_the_length_of_the_vector() -> None:
    whole = output("ok_fe2_mag_nspin2").replace("     5.09 Bohr mag/cell", "     3.00     0.00     4.00 Bohr mag/cell")
    assert read_text(whole).total_magnetization == pytest.approx(5.0)


def test_what_a_cost_model_needs_is_read() -> None:
    text = read_text(output("ok_fe2_mag_nspin2"))
    assert (text.kpoints, text.bands, text.electrons, text.wall_seconds) == (14, 12, 16.0, 12.95)
    assert text.fermi_ev == 13.1059
    assert read_text(output("ok_si8_rattled_nosym")).fermi_ev is not None


@pytest.mark.parametrize(
    ("clock", "expected"), [("2.72s", 2.72), ("1m23.45s", 83.45), ("1h 2m", 3720.0), ("1d 2h", 93600.0), ("", None)]
)
def test_clock_is_read(clock: str, expected: float | None) -> None:
    assert seconds(clock) == expected


def test_crystal_coordinates_of_high_verbosity_are_not_taken_for_cartesian_ones() -> None:
    structure = structure_of(from_text(output("ok_mg2_hcp_verbosity_high")))
    assert structure is not None
    np.testing.assert_allclose(structure.positions, [[0, 0, 0.05], [0, 1.84752, 2.6]], atol=1e-5)
    np.testing.assert_allclose(structure.cell.lengths(), [3.2, 3.2, 5.2], atol=1e-5)


def test_lines_glued_to_a_cut_text_do_not_mend_it() -> None:
    whole = output("ok_si8_rattled_nosym")
    end = whole[whole.rfind("=-", 0, whole.rfind("JOB DONE")) :]
    clock = whole[whole.rfind("     PWSCF        :") :]
    before_stress = whole[: whole.find("total   stress") + 200]
    assert judge(from_text(before_stress + "\n" + end)).outcome == "truncated"
    assert not judge(from_text(before_stress + "\n" + clock)).usable
    lost = re.sub(r"     iteration #  4.*?(?=     iteration #  5)", "", whole, flags=re.S)
    assert "iterations" in judge(from_text(lost)).reason


def test_moment_beyond_the_absolute_magnetisation_is_refused() -> None:
    whole = output("ok_fe2_mag_nspin2")
    assert judge(from_text(whole)).usable
    assert not judge(from_text(whole.replace("magn:    2.6025", "magn:    9.6025"))).usable
    last = whole.rfind("total magnetization       =     5.09")
    assert not judge(from_text(whole[:last] + whole[last:].replace("5.09 Bohr", "3.09 Bohr", 1))).usable


def test_hybrid_whose_two_energies_differ_is_refused() -> None:
    whole = output("ok_si2_pbe0_hybrid")
    assert judge(from_text(whole)).usable
    place = whole.rfind("!!   total energy              =     -14.51207201")
    assert place > 0
    assert not judge(from_text(whole[:place] + whole[place:].replace("-14.51207201", "-14.51207901", 1))).usable


def test_relaxation_out_of_steps_is_a_label_only_with_its_exit_code() -> None:
    path = DATA / "relax_out_of_steps" / "pw.out"
    assert judge(read_pw_output(path, exit_code=3)).usable
    assert not judge(read_pw_output(path, exit_code=1)).usable
    assert not judge(read_pw_output(DATA / "ok_si8_rattled_nosym" / "pw.out", exit_code=3)).usable


def test_exit_code_is_found_under_its_usual_names(tmp_path: Path) -> None:
    (tmp_path / "pw.out").write_text(output("ok_si8_rattled_nosym"))
    records = {'{"rc": 0}': 0, '{"returncode": 9}': 9, "[1]": None, '{"rc": "x"}': None, "{": None}
    for record, expected in records.items():
        (tmp_path / "run.json").write_text(record)
        assert read_beside(tmp_path).exit_code == expected


def test_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    verdict = judge(read_pw_output(tmp_path))
    assert (verdict.outcome, verdict.usable) == ("truncated", False)
    assert "cannot be read (Is a directory)" in verdict.reason
