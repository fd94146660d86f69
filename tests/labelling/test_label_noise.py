"""A sample of labels is run again at tighter settings: what that says, and that it never ends a run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.ace.posterior import Law
from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling import checking
from mlip_autopipec.labelling.engines import make_labeller
from mlip_autopipec.labelling.labeller import Label, write_label
from mlip_autopipec.labelling.noise import measure, sample, tighter
from mlip_autopipec.training.noise import Floor

PSEUDO = Path("/usr/share/espresso/pseudo")
SI = "Si.pz-vbc.UPF"


def settings(**change):
    values = {
        "pseudo_dir": [str(PSEUDO)], "pseudopotentials": {"Si": SI}, "ecutwfc_ry": 12.0, "ecutrho_ry": 48.0,
        "kspacing_per_angstrom": 0.6, "smearing": "gaussian", "degauss_ry": 0.01, "nspin": 1,
        "starting_magnetization": {}, "magnetic_states": [], "noise_labels": 3,
    }  # fmt: skip
    return Labelling(**(values | change))


def frame(seed, config_type="rattle", cubic=False):
    atoms = bulk("Si", cubic=cubic)
    atoms.rattle(0.1, seed=seed)
    return new_frame(atoms, origin="t", config_type=config_type)


def label_of(one, energy=0.0, force=0.0, stress=0.0, **change):
    forces = [((-1) ** k * (0.5 + force), 0.0, 0.0) for k in range(len(one))]
    values = {
        "accepted": True, "outcome": "ok", "kind": "ok", "reason": "", "natoms": len(one), "uid": one.info["uid"],
        "energy_ev": -100.0 * len(one) + energy, "forces": forces,
        "stress": (stress, stress, stress, 0.0, 0.0, 0.0), "engine": "espresso",
    }  # fmt: skip
    return Label(**(values | change))


FRAMES = [frame(1), frame(2), frame(3, "strain"), frame(4, "volume", True), frame(5, "volume"), frame(6, "rattle")]


def test_the_sample_is_spread_over_types_takes_the_cheaper_ones_and_depends_on_the_seed_alone():
    labels = {one.info["uid"]: label_of(one) for one in FRAMES}
    chosen = sample(FRAMES, labels, 3, seed=1)
    assert sorted(one.info["config_type"] for one in chosen) == ["rattle", "strain", "volume"]
    assert all(len(one) == 2 for one in chosen)
    assert [one.info["uid"] for one in sample(FRAMES[::-1], labels, 3, seed=1)] == [o.info["uid"] for o in chosen]
    labels.pop(chosen[0].info["uid"])
    assert chosen[0].info["uid"] not in [one.info["uid"] for one in sample(FRAMES, labels, 6, seed=1)]


def test_everything_that_can_converge_is_tighter_and_vacuum_keeps_one_point():
    tight = tighter(settings(kmesh=[2, 3, 1]), FRAMES[0])
    assert (tight.ecutwfc_ry, tight.ecutrho_ry) == (15.0, 60.0)
    assert tight.conv_thr_ry_per_atom == pytest.approx(1e-11)
    assert tight.kspacing_per_angstrom == pytest.approx(0.4)
    assert tight.kmesh == [3, 5, 2]
    water = new_frame(
        Atoms("H2O", [[0, 0, 0], [0, 0, 1], [0, 1, 0]], cell=[9] * 3, pbc=True), origin="t", config_type="m"
    )
    assert tighter(settings(kmesh=[1, 1, 1]), water).kmesh == [1, 1, 1]


class Shifted:
    """Tighter runs that differ by given amounts, frame by frame."""

    name = "espresso"

    def __init__(self, shifts, settings):
        self.shifts, self.surface = shifts, settings.surface()

    def label(self, atoms, workdir, *, ranks=1, seconds=None):
        more = self.shifts[atoms.info["uid"]]
        if more is None:
            raise ConfigurationFault("pw.x is gone", "Install it")
        return label_of(atoms, *more, settings={"surface": self.surface})


def run(shifts, folder, **change):
    frames = FRAMES[:3]
    labels = {one.info["uid"]: label_of(one) for one in frames}
    given = {one.info["uid"]: shift for one, shift in zip(frames, shifts, strict=True)}
    return measure(
        frames, labels, settings(**change), folder, seed=1, make_labeller=lambda tight: Shifted(given, tight)
    )


def test_a_constant_energy_and_pressure_are_no_noise_and_what_is_left_has_its_degrees_of_freedom(tmp_path):
    found = run([(0.2, 0.01, 0.001), (0.2, 0.01, 0.001), (0.2, 0.01, 0.001)], tmp_path / "a")
    assert found["measured"]
    assert found["energy_mev_per_atom"] == pytest.approx(0.0, abs=1e-6)
    assert found["energy_raw_mev_per_atom"] == pytest.approx(100.0)
    assert found["stress_gpa"] == pytest.approx(0.0, abs=1e-9)
    assert found["force_mev_per_angstrom"] == pytest.approx(10.0 / np.sqrt(3))
    found = run([(0.2, 0.0, 0.0), (0.21, 0.0, 0.0), (0.22, 0.0, 0.0)], tmp_path / "b")
    assert found["energy_mev_per_atom"] == pytest.approx(5.0)  # standard deviation of 100, 105, 110 meV/atom
    assert found["settings"]["ecutwfc_ry"] == 15.0


def test_runs_that_fail_are_told_and_nothing_is_raised(tmp_path):
    found = run([(0.2, 0.0, 0.0), None, (0.2, 0.0, 0.0)], tmp_path / "a")
    assert found["measured"]
    assert len(found["frames"]) == 2
    assert "pw.x is gone" in found["failed"][0]["reason"]
    found = run([None, None, None], tmp_path / "b")
    assert not found["measured"]
    assert found["energy_mev_per_atom"] is None
    assert Floor.of(found) == Floor()


@pytest.mark.parametrize(("engine", "words"), [("calculator", "has no cutoffs"), ("vasp", "by vasp are is not known")])
def test_an_engine_without_such_settings_says_so(tmp_path, engine, words):
    found = measure([], {}, settings(engine=engine), tmp_path, seed=1, make_labeller=make_labeller)
    assert not found["measured"]
    assert words in found["reason"]


def magnetic(usual, tight, folder):
    """The noise of three labels of which the last is `usual`, and its tighter run `tight`."""
    frames = FRAMES[:3]
    alike = {"magmoms": [2.0, 2.0], "branch": "high"}
    labels = {one.info["uid"]: label_of(one, **alike) for one in frames}
    again = {one.info["uid"]: label_of(one, 0.2, **alike) for one in frames}
    last = frames[2].info["uid"]
    labels[last] = label_of(frames[2], **usual)

    class Made:
        name = "espresso"

        def label(self, atoms, workdir, *, ranks=1, seconds=None):
            uid = atoms.info["uid"]
            return label_of(frames[2], 0.6, **tight) if uid == last else again[uid]

    return measure(frames, labels, settings(), folder, seed=1, make_labeller=lambda _: Made())


@pytest.mark.parametrize(
    ("usual", "tight", "words"),
    [
        ({"magmoms": [2.0, 2.0]}, {"magmoms": [1.2, 1.2]}, "site moments differ by 0.80"),
        ({"magmoms": [2.0, 2.0]}, {"magmoms": [2.0, -2.0]}, "site moments differ by 4.00"),
        ({"absolute_magnetization": 4.0}, {"absolute_magnetization": 3.0}, "absolute magnetization per atom"),
        ({"total_magnetization": 4.0}, {"total_magnetization": 0.0}, "total magnetization per atom"),
        ({"branch": "high"}, {"branch": "low"}, "branch low instead of high"),
    ],
)
def test_a_run_that_ends_in_another_magnetic_state_is_told_apart(tmp_path, usual, tight, words):
    found = magnetic(usual, tight, tmp_path)
    told = [row["other_state"] for row in found["frames"] if row["other_state"] is not None]
    assert len(told) == 1
    assert words in told[0]
    assert len(found["frames"]) == 3
    assert "(1 of them ended in another magnetic state" in found["reason"]
    assert found["energy_raw_mev_per_atom"] == pytest.approx(100.0)  # of the two others


@pytest.mark.parametrize(
    ("usual", "tight"),
    [
        ({"magmoms": [2.0, 2.0], "branch": "high"}, {"magmoms": [-2.1, -2.1], "branch": "low"}),
        ({"absolute_magnetization": 4.0}, {"absolute_magnetization": 4.3}),
    ],
)
def test_the_same_state_from_another_start_or_a_little_off_is_noise(tmp_path, usual, tight):
    found = magnetic(usual, tight, tmp_path)
    assert [row["other_state"] for row in found["frames"]] == [None] * 3
    assert found["energy_raw_mev_per_atom"] > 150


def test_labels_that_a_limit_refuses_are_no_sample(tmp_path):
    spoilt = FRAMES[0].info["uid"]
    labels = {one.info["uid"]: label_of(one) for one in FRAMES[:3]}
    labels[spoilt] = label_of(FRAMES[0], scf_correction_ev_per_angstrom=1.0)
    shifts = {one.info["uid"]: (0.2, 0.0, 0.0) for one in FRAMES[:3]}
    found = measure(
        FRAMES[:3], labels, settings(), tmp_path, seed=1, make_labeller=lambda tight: Shifted(shifts, tight)
    )
    assert sorted(row["name"] for row in found["frames"]) == sorted(one.info["uid"] for one in FRAMES[1:3])


def test_expected_errors_are_never_below_the_noise(tmp_path):
    found = run([(0.2, 0.05, 0.0), (0.24, 0.05, 0.0), (0.2, 0.05, 0.0)], tmp_path)
    floor = Floor.of(found)
    assert floor.record() == {
        "energy_mev_per_atom": pytest.approx(found["energy_mev_per_atom"]),
        "force_mev_per_angstrom": pytest.approx(found["force_mev_per_angstrom"]),
    }
    law = Law(1.0, 1.0, floor.force_ev_per_angstrom)
    assert law(np.array([0.0, 1e-6])).min() >= floor.force_ev_per_angstrom


def test_a_label_that_a_review_corrected_is_compared_as_it_was_corrected(tmp_path, monkeypatch):
    frames = FRAMES[:2]
    file = tmp_path / "frames" / "gen0.extxyz"
    write_frames(file, frames)
    lost = frames[0].info["uid"]
    for one in frames:
        write_label(tmp_path / "labeled" / "gen0" / f"{one.info['uid']}.json", label_of(one, 10.0 * (one is frames[0])))
    write_label(tmp_path / "labeled" / "gen0" / "again" / f"{lost}.json", label_of(frames[0]))
    review = tmp_path / "labeled" / "gen0" / "review.json"
    write_json(review, {"flagged": [], "corrected": {lost: f"again/{lost}.json"}})
    shifts = {one.info["uid"]: (0.2, 0.0, 0.0) for one in frames}
    monkeypatch.setattr(checking, "make_labeller", lambda tight: Shifted(shifts, tight))
    found = checking.measure_noise(file, review, settings(), tmp_path / "labeled", seed=1)
    assert [row["energy_mev_per_atom"] for row in found["frames"]] == [pytest.approx(100.0)] * 2


@pytest.mark.skipif(shutil.which("pw.x") is None or not (PSEUDO / SI).is_file(), reason="needs pw.x and Debian's files")
def test_noise_of_real_labels_of_silicon(tmp_path):
    frames = FRAMES[:2]
    labeller = make_labeller(settings())
    labels = {one.info["uid"]: labeller.label(one, tmp_path / one.info["uid"]) for one in frames}
    assert all(label.accepted for label in labels.values())
    given = {"seed": 1, "make_labeller": make_labeller}
    found = measure(frames, labels, settings(noise_labels=2), tmp_path / "noise", **given)
    assert found["measured"], found["failed"]
    # 12 Ry and four k-points are far from converged, and a rattled cell feels it
    assert found["energy_raw_mev_per_atom"] > 5
    assert 5 < found["force_mev_per_angstrom"] < 500
    assert found["energy_mev_per_atom"] < found["energy_raw_mev_per_atom"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "noise").glob("*.json")}
    assert measure(frames, labels, settings(noise_labels=2), tmp_path / "noise", **given) == found
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "noise").glob("*.json")}
