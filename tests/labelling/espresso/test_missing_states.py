"""A frame with several starting states is no label while one of them that may be the lowest has no result."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import Ry
from espresso_frames import PSEUDO, SILICON, fake_pw, needs_pw

from mlip_autopipec.labelling.espresso import ladder
from mlip_autopipec.labelling.espresso.fields import PwText
from mlip_autopipec.labelling.espresso.ladder import Ending
from mlip_autopipec.labelling.espresso.magnetic import State, atom_state
from mlip_autopipec.labelling.espresso.output import PwResult
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.espresso.settings import EspressoSettings
from mlip_autopipec.labelling.espresso.states import Tried, decide, floor_ev
from mlip_autopipec.labelling.espresso.verdict import Verdict
from mlip_autopipec.labelling.labeller import Label
from mlip_autopipec.structures.reference import isolated_atoms

SECTION: dict[str, Any] = {**SILICON, "ecutwfc_ry": 12.0, "ecutrho_ry": 48.0}
FIRST, SECOND = State("first"), State("second")


def two_atoms() -> Atoms:
    atoms = bulk("Si", "diamond", 5.43)
    atoms.rattle(0.05, seed=1)
    return atoms


def wrapped_pw(folder: Path, before: str) -> str:
    """The real pw.x, behind words of a shell that may end it; it counts its runs."""
    return fake_pw(folder, f'echo run >> {folder}/count\n{before}\nexec {shutil.which("pw.x")} "$@"')


def runs(folder: Path) -> int:
    return len((folder / "count").read_text().split())


def edit_inputs(monkeypatch: pytest.MonkeyPatch, **edits: dict[str, str]) -> None:
    """Name the state in every input, and set keys of pw.x by state; the steps of a restart are left alone."""
    original = ladder.pw_input

    def edited(atoms: Atoms, settings: EspressoSettings, *, state: State, **others: Any) -> str:
        text = f"! state {state.name}\n" + original(atoms, settings, state=state, **others)
        for key, value in edits.get(state.name, {}).items():
            if key == "electron_maxstep" and "startingpot" in text:
                continue
            text, changed = re.subn(rf"^( *{key} *=).*$", rf"\1 {value}", text, flags=re.M)
            assert changed == 1, key
        return text

    monkeypatch.setattr(ladder, "pw_input", edited)


def label(folder: Path, states: list[State], command: str = "pw.x", **settings: Any) -> Label:
    section = {**SECTION, "command": command, **settings}
    return EspressoLabeller.from_config(section).label(two_atoms(), folder / "work", states=states)


LOWER = {"ecutwfc": "14.0"}  # stands for another magnetic order: more plane waves, a lower energy


@needs_pw
def test_state_that_the_machine_killed_is_waited_for_and_only_it_is_made_again(tmp_path: Path, monkeypatch) -> None:
    edit_inputs(monkeypatch, second=LOWER)
    allowed = tmp_path / "allowed"
    command = wrapped_pw(tmp_path, f"grep -q 'state second' pw.in && [ ! -e {allowed} ] && kill -9 $$")
    failed = label(tmp_path, [FIRST, SECOND, State("third")], command)
    assert (failed.accepted, failed.kind) == (False, "infrastructure")
    assert failed.reason.startswith("starting state second: ")
    told = {one["name"]: (one["outcome"], one["kept"]) for one in failed.states}
    assert told["first"] == ("ok", False)
    assert told["third"] == ("not_tried", False)
    before = runs(tmp_path)
    allowed.touch()
    whole = label(tmp_path, [FIRST, SECOND, State("third")], command)
    assert whole.accepted, whole.reason
    assert whole.branch == "second"
    assert runs(tmp_path) == before + 2, "the second and the third state, not the first again"


@needs_pw
@pytest.mark.parametrize("seconds", [100.0, None])
def test_state_that_there_was_no_time_for_is_waited_for(tmp_path: Path, monkeypatch, seconds: float | None) -> None:
    edit_inputs(monkeypatch, second=LOWER)
    original = ladder.Climb.first

    def slow(climb: ladder.Climb, state: State) -> ladder.Route:
        route = original(climb, state)
        climb._deadline = time.monotonic()
        return route

    labeller = EspressoLabeller.from_config(SECTION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder.Climb, "first", slow)
        failed = labeller.label(two_atoms(), tmp_path, states=[FIRST, SECOND], seconds=seconds)
    assert (failed.accepted, failed.kind, failed.outcome) == (False, "infrastructure", "stopped")
    assert "starting state second" in failed.reason
    assert ("labelling.max_seconds" in failed.reason) == (seconds is None)
    whole = labeller.label(two_atoms(), tmp_path, states=[FIRST, SECOND])
    assert whole.branch == "second"


@needs_pw
def test_ladder_that_the_time_cut_short_goes_on_in_a_retry(tmp_path: Path, monkeypatch) -> None:
    edit_inputs(monkeypatch, second={**LOWER, "electron_maxstep": "6"})
    settings = {"command": wrapped_pw(tmp_path, ""), "conv_thr_ry_per_atom": 1e-11}
    original = ladder.Climb.further

    def no_time(climb: ladder.Climb, *arguments: Any) -> None:
        climb._deadline = time.monotonic()
        original(climb, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder.Climb, "further", no_time)
        failed = label(tmp_path, [FIRST, SECOND], **settings)
    assert (failed.accepted, failed.kind, failed.outcome) == (False, "infrastructure", "stopped")
    assert "did not converge in 6 iterations" in failed.reason
    assert runs(tmp_path) == 2
    whole = label(tmp_path, [FIRST, SECOND], **settings)
    assert whole.branch == "second"
    assert whole.attempts[2].changed["startingpot"] == "file"
    assert runs(tmp_path) == 3, "from the density that the attempt left"


@needs_pw
def test_state_that_does_not_converge_and_may_be_lower_is_missing(tmp_path: Path, monkeypatch) -> None:
    edit_inputs(monkeypatch, first={"electron_maxstep": "1"})
    missing = label(tmp_path, [FIRST, SECOND])
    assert (missing.accepted, missing.kind, missing.outcome) == (False, "physics", "state_missing")
    assert "starting state first may be lower than second" in missing.reason
    assert "labelling.magnetic_states" in missing.reason
    assert [attempt.state for attempt in missing.attempts][:3] == ["first", "second", "first"], "ladders come last"
    assert sum(attempt.state == "first" for attempt in missing.attempts) > 2
    assert not any(one["kept"] for one in missing.states)
    assert not list(tmp_path.rglob("charge-density*"))


@needs_pw
def test_state_that_cannot_be_lower_is_left_out_without_a_ladder(tmp_path: Path, monkeypatch) -> None:
    edit_inputs(monkeypatch, first={"ecutwfc": "5.0", "electron_maxstep": "6"})
    found = label(tmp_path, [FIRST, SECOND], conv_thr_ry_per_atom=1e-11)
    assert found.accepted, found.reason
    assert found.branch == "second"
    assert [attempt.state for attempt in found.attempts] == ["first", "second"]
    assert found.attempts[0].outcome == "scf_not_converged"
    (warning,) = [words for words in found.warnings if "starting state first" in words]
    assert re.search(r"at least \d+\.\d meV/atom higher", warning)
    assert not list(tmp_path.rglob("charge-density*")), "its density is removed, too"


@needs_pw
def test_atom_with_a_state_that_the_machine_killed_is_no_label(tmp_path: Path, monkeypatch) -> None:
    edit_inputs(monkeypatch)
    command = wrapped_pw(tmp_path, "grep -q 'state atom:0' pw.in && kill -9 $$")
    labeller = EspressoLabeller.from_config({**SECTION, "command": command})
    states = [atom_state(2), atom_state(0)]
    failed = labeller.label(isolated_atoms(["Si"], 6.0)[0], tmp_path / "work", states=states)
    assert (failed.accepted, failed.kind) == (False, "infrastructure")
    assert "the isolated atom with a moment of 0" in failed.reason


NOT_CONVERGED = Verdict("scf_not_converged", "physics", "did not converge", False)
REFUSED = Verdict("ok", "structure", "the largest force is too large", False, "force_too_large")
GOOD = Verdict("ok", "ok", "", True)


def ended(folder: Path, verdict: Verdict, energy_ry: float, accuracy_ry: float = 1e-9) -> Ending:
    path = folder / f"{verdict.outcome}{energy_ry}.out"
    lines = [(energy_ry - 50, 1e-12), (energy_ry, accuracy_ry)]
    path.write_text(
        "".join(
            f"     total energy              = {energy:.8f} Ry\n     estimated scf accuracy    < {accuracy:.8f} Ry\n\n"
            for energy, accuracy in lines
        )
    )
    text = PwText(energy_ev=energy_ry * Ry if verdict.outcome == "ok" else None)
    return Ending(verdict, PwResult(path, text, empty=False), "attempt_1")


def test_the_floor_of_an_unfinished_field_is_ten_accuracies_below_its_last_energy(tmp_path: Path) -> None:
    assert floor_ev(ended(tmp_path, NOT_CONVERGED, -10.0, 0.01)) == pytest.approx(-10.1 * Ry)
    assert floor_ev(ended(tmp_path, REFUSED, -10.0, 0.01)) == pytest.approx(-10.0 * Ry)
    too_few = Verdict("ok", "physics", "", False, "last_band_occupied")
    assert floor_ev(ended(tmp_path, too_few, -10.0)) == -float("inf"), "its energy is that of too few bands"
    assert floor_ev(Ending(NOT_CONVERGED)) == -float("inf")
    stars = ended(tmp_path, NOT_CONVERGED, -10.0)
    assert stars.result is not None
    stars.result.path.write_text("     total energy = ****** Ry\n     estimated scf accuracy < 0.1 Ry\n")
    assert floor_ev(stars) == -float("inf")


@pytest.mark.parametrize(
    ("verdict", "energy_ry", "accuracy_ry", "outcome"),
    [
        (REFUSED, -10.001, 0.0, "state_missing"),
        (REFUSED, -9.999, 0.0, "ok"),
        (REFUSED, -10.0, 0.0, "ok"),  # the same solution by another way
        (NOT_CONVERGED, -9.99, 0.0005, "ok"),
        (NOT_CONVERGED, -9.99, 0.002, "state_missing"),
        (NOT_CONVERGED, -10.01, 0.0005, "state_missing"),
    ],
)
def test_a_state_is_left_out_only_where_it_cannot_be_lower(
    tmp_path: Path, verdict: Verdict, energy_ry: float, accuracy_ry: float, outcome: str
) -> None:
    best = Tried(FIRST, ended(tmp_path, GOOD, -10.0))
    for tried in ([best, (other := Tried(SECOND, ended(tmp_path, verdict, energy_ry, accuracy_ry)))], [other, best]):
        kept, found = decide(tried, natoms=2)
        assert kept is best
        assert (found.outcome, found.usable) == (outcome, outcome == "ok")
    if outcome == "state_missing":
        assert "starting state second" in found.reason
        assert verdict.reason in found.reason


def test_no_good_state_leaves_the_verdict_of_the_likeliest(tmp_path: Path) -> None:
    tried = [Tried(FIRST, ended(tmp_path, REFUSED, -10.0)), Tried(SECOND, ended(tmp_path, NOT_CONVERGED, -11.0))]
    assert decide(tried, natoms=2) == (tried[0], REFUSED)


@needs_pw
@pytest.mark.skipif(not (PSEUDO / "Fe.pbe-nd-rrkjus.UPF").is_file(), reason="pseudopotential")
def test_fcc_iron_is_never_labelled_as_a_ferromagnet_because_the_antiferromagnet_was_killed(tmp_path: Path) -> None:
    # Parallel moments lie about 20 meV/atom above antiparallel ones here: docs/labelling.md, Magnetism.
    a = 3.55
    cell = [a / 2**0.5, a / 2**0.5, a]
    iron = Atoms("Fe2", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=cell, pbc=True)
    allowed = tmp_path / "allowed"
    killer = f"grep -q 'starting_magnetization(2) = -' pw.in && [ ! -e {allowed} ] && kill -9 $$"
    settings = {
        "command": wrapped_pw(tmp_path, killer),
        "pseudopotentials": {"Fe": "Fe.pbe-nd-rrkjus.UPF"},
        "pseudo_dir": [str(PSEUDO)],
        "ecutwfc_ry": 25.0,
        "ecutrho_ry": 200.0,
        "kmesh": [3, 3, 2],
        "kshift": [1, 1, 1],
        "smearing": "cold",
        "degauss_ry": 0.02,
        "conv_thr_ry_per_atom": 1e-7,
        "nspin": 2,
        "starting_magnetization": {"Fe": 0.5},
        "magnetic_states": ["high", "antiferro"],
    }
    labeller = EspressoLabeller(EspressoSettings.from_config(settings))
    failed = labeller.label(iron, tmp_path / "work")
    assert (failed.accepted, failed.kind) == (False, "infrastructure")
    assert "starting state antiferro" in failed.reason
    allowed.touch()
    before = runs(tmp_path)
    found = labeller.label(iron, tmp_path / "work")
    assert found.accepted, found.reason
    assert found.branch == "antiferro"
    again = {attempt.folder for attempt in found.attempts if attempt.state == "antiferro"}
    assert runs(tmp_path) == before + len(again), "the parallel state was read again"
