"""Labels judged by each other: what is wrong is found, what is merely rare is left alone, lost moments are retried."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling.labeller import Label, write_label
from mlip_autopipec.labelling.outliers import judge
from mlip_autopipec.labelling.review import _starts, collapsed_moments, review, review_generation

SETTINGS = Labelling(
    pseudo_dir=["."], pseudopotentials={"Cu": "Cu.UPF"}, ecutwfc_ry=20, ecutrho_ry=80, kspacing_per_angstrom=0.2,
    smearing="cold", degauss_ry=0.01, nspin=2, starting_magnetization={"Cu": 0.1}, magnetic_states=["high", "low"],
)  # fmt: skip


def labelled(atoms, config_type="rattle", generation=0, calculator=None):
    frame = new_frame(atoms, origin="t", config_type=config_type, generation=generation)
    copy = frame.copy()
    copy.calc = calculator or EMT()
    frame.info["REF_energy"] = copy.get_potential_energy()
    frame.arrays["REF_forces"] = copy.get_forces()
    return frame


@pytest.fixture(scope="module")
def copper():
    """Thirty cells of copper at several volumes and temperatures, two dimers, and a slab."""
    random = np.random.default_rng(1)
    frames = []
    for number in range(30):
        atoms = bulk("Cu", a=3.6 * (1 + 0.03 * random.uniform(-1, 1)), cubic=True)
        atoms.positions += (0.05 + 0.1 * (number % 3)) * random.normal(size=(4, 3))
        frames.append(labelled(atoms))
    for distance in (2.0, 3.1):
        dimer = Atoms("Cu2", [[0, 0, 0], [distance, 0, 0]], cell=[12] * 3, pbc=True)
        frames.append(labelled(dimer, "dimer"))
    slab = bulk("Cu", a=3.6, cubic=True) * (1, 1, 2)
    slab.center(vacuum=6.0, axis=2)
    frames.append(labelled(slab, "surface"))
    return frames


def suspects(frames):
    return [one.index for one in judge(frames, 0.05).labels if one.suspect]


def test_good_labels_are_not_suspect_and_rare_ones_are_not_judged(copper):
    found = judge(copper, 0.05)
    assert suspects(copper) == []
    assert sum(one.judged for one in found.labels[:30]) >= 28
    assert not found.labels[-1].judged or not found.labels[-2].judged


@pytest.mark.parametrize(("number", "shift"), [(3, 0.1), (16, -0.1), (3, 5.0)])
def test_a_shifted_energy_is_found_and_nothing_else(copper, number, shift):
    spoilt = [frame.copy() for frame in copper]
    spoilt[number].info["REF_energy"] += shift * len(spoilt[number])
    assert suspects(spoilt) == [number]


def test_several_wrong_energies_do_not_hide_each_other(copper):
    spoilt = [frame.copy() for frame in copper]
    for number in (2, 9, 21):
        spoilt[number].info["REF_energy"] += 0.2 * len(spoilt[number])
    assert suspects(spoilt) == [2, 9, 21]


def test_labels_of_two_frames_swapped_are_found_by_their_forces(copper):
    spoilt = [frame.copy() for frame in copper]
    for a, b in ((5, 8), (8, 5)):
        spoilt[a].info["REF_energy"] = copper[b].info["REF_energy"]
        spoilt[a].arrays["REF_forces"] = copper[b].arrays["REF_forces"].copy()
    assert suspects(spoilt) == [5, 8]


def test_few_labels_are_not_judged_and_that_is_said(copper):
    found = judge(copper[:5], 0.05)
    assert not any(one.judged for one in found.labels)
    assert "too few" in found.said


def test_labels_that_do_not_agree_at_all_are_not_quarantined_by_the_dozen(copper):
    random = np.random.default_rng(2)
    spoilt = [frame.copy() for frame in copper]
    for frame in spoilt:
        frame.info["REF_energy"] += 1.0 * random.normal() * len(frame)
    assert len(suspects(spoilt)) <= 2


def moments_of(frames, lost=()):
    for number, frame in enumerate(frames):
        size = 0.02 if number in lost else 2.0
        frame.arrays["REF_magmoms"] = np.full(len(frame), size)
    return frames


def test_a_lost_moment_is_seen_and_one_that_is_small_everywhere_is_not(copper):
    frames = moments_of([frame.copy() for frame in copper], lost=[4])
    found = collapsed_moments(frames, judge(frames, 0.05).labels)
    assert [frame.info["uid"] for frame, _ in found] == [frames[4].info["uid"]]
    np.testing.assert_allclose(found[0][1], 2.0)
    small = [frame.copy() for frame in copper]
    for frame in small:
        frame.arrays["REF_magmoms"] = np.full(len(frame), 0.02)
    assert collapsed_moments(small, judge(small, 0.05).labels) == []


def label_of(frame, **changes):
    moments = frame.arrays.get("REF_magmoms")
    values = {
        "accepted": True, "outcome": "ok", "kind": "ok", "reason": "fine", "natoms": len(frame),
        "uid": frame.info["uid"], "energy_ev": float(frame.info["REF_energy"]),
        "forces": [tuple(map(float, f)) for f in frame.arrays["REF_forces"]], "stress": (0.0,) * 6,
        "magmoms": None if moments is None else moments.tolist(), "engine": "espresso", "branch": "high",
    }  # fmt: skip
    return Label(**(values | changes))


class Retrying:
    """A labeller whose field, started from given moments, ends at a given energy."""

    name = "espresso"

    def __init__(self, lower_ev: float, kind: str = "ok") -> None:
        self.lower_ev, self.kind, self.calls = lower_ev, kind, []

    def label(self, atoms, workdir, *, ranks=1, seconds=None, states=None):
        self.calls.append(states)
        if self.kind != "ok":
            return Label(
                accepted=False, outcome="scf_not_converged", kind=self.kind, reason="no convergence",
                natoms=len(atoms), uid=atoms.info["uid"], engine="espresso",
            )  # fmt: skip
        return label_of(atoms, energy_ev=atoms.info["REF_energy"] - self.lower_ev, magmoms=[2.0] * len(atoms))


@pytest.mark.parametrize(
    ("labeller", "result"),
    [
        (Retrying(0.4), "corrected"),
        (Retrying(-0.4), "confirmed"),
        (Retrying(0.0, kind="physics"), "flagged"),
    ],
)
def test_a_lost_moment_is_started_again_and_the_lower_energy_counts(copper, tmp_path, labeller, result):
    frames = moments_of([frame.copy() for frame in copper], lost=[4])
    if result == "corrected":  # the lost moment stands 100 meV/atom too high
        frames[4].info["REF_energy"] += 0.4
    labels = {frame.info["uid"]: label_of(frame) for frame in frames}
    found = review(frames, labels, [], SETTINGS, labeller, tmp_path)
    name = frames[4].info["uid"]
    named = {key: [row["name"] for row in found[key]] for key in ("flagged",)}
    named |= {"corrected": list(found["corrected"]), "confirmed": found["confirmed"]}
    assert named == {key: [name] if key == result else [] for key in named}
    assert all(state.site_moments is not None for state in labeller.calls[0])
    review(frames, labels, [], SETTINGS, labeller, tmp_path)
    assert len(labeller.calls) == 1  # a retry that is on disk is not made again
    if result == "flagged":
        assert found["flagged"][0]["outcome"] == "moment_collapsed"


class OneStart:
    """An engine that starts as it likes."""

    name = "vasp"

    def label(self, atoms, workdir, *, ranks=1, seconds=None):
        raise AssertionError("nothing is gained by the same run again")


@pytest.mark.parametrize(
    ("labeller", "words"),
    [
        (None, "no other start could be tried"),
        (OneStart(), "no other start could be tried"),
        (Retrying(0.0, kind="infrastructure"), "gave nothing"),
        (Retrying(0.0, kind="budget"), "gave nothing"),
    ],
)
def test_a_suspicion_that_could_not_be_tested_leaves_the_label_and_is_said(copper, tmp_path, labeller, words):
    frames = moments_of([frame.copy() for frame in copper], lost=[4])
    labels = {frame.info["uid"]: label_of(frame) for frame in frames}
    for turn in (1, 2):
        found = review(frames, labels, [], SETTINGS, labeller, tmp_path)
        assert (found["flagged"], found["corrected"], found["confirmed"]) == ([], {}, [])
        (said,) = found["warnings"]
        assert frames[4].info["uid"] in said
        assert words in said
        if isinstance(labeller, Retrying):
            assert len(labeller.calls) == turn  # what says nothing of the frame is not kept
    assert not list(tmp_path.rglob("*.json"))


def test_sites_of_one_element_with_and_without_a_moment_do_not_accuse_each_other(copper):
    frames = [frame.copy() for frame in copper[:30]]
    for number, frame in enumerate(frames):
        frame.arrays["REF_magmoms"] = np.roll([2.6, -2.6, 0.03, 0.03], number)
    frames.append(labelled(frames[0] * (2, 1, 1)))
    frames[-1].arrays["REF_magmoms"] = np.tile(frames[0].arrays["REF_magmoms"], 2)
    judged = judge(frames, 0.05).labels
    assert collapsed_moments(frames, judged) == []
    frames[3].arrays["REF_magmoms"] = np.array([0.05, 0.03, 0.03, 2.6])
    ((found, expected),) = collapsed_moments(frames, judged)
    assert found is frames[3]
    assert expected == pytest.approx([2.6, 0.03, 0.03, 2.6])
    assert _starts(found, expected) == pytest.approx([2.6] * 4)  # the field finds the sites without a moment


def test_a_review_from_files_quarantines_through_collect_and_is_settled_later(copper, tmp_path):
    from mlip_autopipec.labelling.collect import collect

    frames = moments_of([frame.copy() for frame in copper], lost=[4])
    frames[4].info["REF_energy"] += 0.4
    frames[7].info["REF_energy"] += 0.8
    write_frames(tmp_path / "gen0.extxyz", frames)
    folder = tmp_path / "labeled" / "gen0"
    paths = []
    for frame in frames:
        paths.append(folder / f"{frame.info['uid']}.json")
        write_label(paths[-1], label_of(frame))
    labeller = Retrying(0.4)
    given = ([tmp_path / "gen0.extxyz"], paths)
    first = review_generation(*given, [], SETTINGS, folder, make_labeller=lambda _: labeller)
    write_json(folder / "review.json", first)
    accepted, quarantined, record = collect(frames, paths, [], [], reviews=[folder / "review.json"], settings=SETTINGS)
    (refused,) = quarantined
    assert refused.info["uid"] == frames[7].info["uid"]
    assert refused.info["outcome"] == "energy_outlier"
    assert "above what the labels of like frames say" in refused.info["reason"]
    (better,) = [one for one in accepted if one.info["uid"] == frames[4].info["uid"]]
    assert better.info["REF_energy"] == pytest.approx(frames[4].info["REF_energy"] - 0.4)
    assert record["corrected"] == [frames[4].info["uid"]]
    assert any("moments were lost" in said for said in record["warnings"])
    second = review_generation(
        *given, [folder / "review.json"], SETTINGS, tmp_path / "gen1", make_labeller=lambda _: labeller
    )
    assert second["corrected"] == {}
    assert [row["name"] for row in second["flagged"]] == [frames[7].info["uid"]]
    assert len(labeller.calls) == 1
    assert json.loads(Path(folder / "review.json").read_text())["judged"] > 25
