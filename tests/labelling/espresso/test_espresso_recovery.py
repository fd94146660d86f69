"""The recovery ladder: chosen by what went wrong, never a change of the physics, always with an end."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mlip_autopipec.labelling.espresso.output import read_beside
from mlip_autopipec.labelling.espresso.recovery import LABEL_PRESERVING, Rung, less_memory, next_rung
from mlip_autopipec.labelling.espresso.verdict import judge

DATA = Path(__file__).parents[2] / "data" / "qe"


def climb(case: str, electrons: float = 32.0, *, saved: bool = False) -> list[Rung]:
    """All rungs when every attempt fails like `case`."""
    result = read_beside(DATA / case)
    verdict = judge(result)
    tried = [Rung()]
    while rung := next_rung(result, verdict, tried, electrons=electrons, maxstep=80, saved=saved):
        assert rung.why
        tried.append(rung)
        assert len(tried) < 20, "the ladder has no end"
    return tried[1:]


@pytest.mark.parametrize(
    "case",
    ["fail_maxstep2", "scf_sloshing_al8_b0.9n2", "diag_david_ndim1", "fail_nbnd_too_small_smear", "scf_beta_1e-4"],
)
def test_failures_of_the_physics_have_rungs_that_keep_the_label(case: str) -> None:
    rungs = climb(case)
    assert rungs
    assert {key for rung in rungs for key in rung.changes} <= LABEL_PRESERVING
    assert len({repr(sorted(rung.changes.items())) for rung in rungs}) == len(rungs), "an attempt is made twice"


@pytest.mark.parametrize("case", ["fail_overlap_same_pos", "ecut_1ry", "fail_close_0p1A"])
def test_structures_are_not_retried(case: str) -> None:
    assert climb(case) == []


def test_sloshing_run_gets_another_mixing() -> None:
    first, second, *_ = climb("scf_sloshing_al8_b0.9n2", saved=True)
    assert first.changes["mixing_beta"] < 0.7
    assert second.changes["mixing_mode"] == "local-TF"
    assert not first.restart, "a density that sloshes is no start"


def test_slowly_converging_run_goes_on_from_its_density_with_the_steps_it_needs() -> None:
    rungs = climb("ladder_al12_step0_default_max40", electrons=36.0, saved=True)
    first = rungs[0]
    assert first.restart
    assert "converging slowly" in first.why
    assert set(first.changes) == {"electron_maxstep"}, "the mixing was good"
    assert 80 <= first.changes["electron_maxstep"] <= 240
    assert not any(a.restart and b.restart for a, b in itertools.pairwise(rungs)), "then another mixing"
    without, *_ = climb("ladder_al12_step0_default_max40", electrons=36.0)
    assert (without.restart, without.changes) == (False, {"electron_maxstep": 240})


def test_only_the_last_rung_knows_that_nothing_is_behind_it() -> None:
    assert [rung.last for rung in climb("scf_sloshing_al8_b0.9n2")] == [False, False, False, True]


def test_occupied_last_band_gets_more_bands() -> None:
    assert climb("nbnd_al4_6", electrons=12.0)[0].changes["nbnd"] > 10
    bands = [rung.changes["nbnd"] for rung in climb("fail_nbnd_small_smear_2", electrons=3.0)]
    assert bands == sorted(bands)


def test_failed_diagonalisation_gets_another_one() -> None:
    assert "cg" in [rung.changes.get("diagonalization") for rung in climb("diag_david_ndim1")]


def test_less_memory_keeps_what_else_was_changed_and_has_an_end() -> None:
    tried = [Rung({"mixing_beta": 0.3, "mixing_ndim": 12})]
    while rung := less_memory(tried, "out of memory"):
        tried.append(rung)
        assert len(tried) < 5
    first, second = tried[1:]
    assert first.changes == {
        "mixing_beta": 0.3, "diagonalization": "david", "diago_david_ndim": 2, "mixing_ndim": 4
    }  # fmt: skip
    assert second.changes == {"mixing_beta": 0.3, "diagonalization": "cg", "mixing_ndim": 4}
    assert {key for rung in tried for key in rung.changes} <= LABEL_PRESERVING
