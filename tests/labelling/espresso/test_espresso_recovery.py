"""The recovery ladder: chosen by what went wrong, never a change of the physics, always with an end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlip_autopipec.labelling.espresso.output import read_beside
from mlip_autopipec.labelling.espresso.recovery import LABEL_PRESERVING, next_rung, scf_trend
from mlip_autopipec.labelling.espresso.verdict import judge

DATA = Path(__file__).parents[2] / "data" / "qe"


def climb(case: str, electrons: float = 32.0) -> list[dict[str, Any]]:
    """Changes of all rungs when every attempt fails like `case`."""
    result = read_beside(DATA / case)
    verdict = judge(result)
    tried: list[dict[str, Any]] = [{}]
    while rung := next_rung(result, verdict, tried, electrons=electrons, maxstep=80):
        assert rung.why
        tried.append(rung.changes)
        assert len(tried) < 20, "the ladder has no end"
    return tried[1:]


@pytest.mark.parametrize(
    "case",
    ["fail_maxstep2", "scf_sloshing_al8_b0.9n2", "diag_david_ndim1", "fail_nbnd_too_small_smear", "scf_beta_1e-4"],
)
def test_failures_of_the_physics_have_rungs_that_keep_the_label(case: str) -> None:
    rungs = climb(case)
    assert rungs
    assert {key for changes in rungs for key in changes} <= LABEL_PRESERVING
    assert len({repr(sorted(changes.items())) for changes in rungs}) == len(rungs), "an attempt is made twice"


@pytest.mark.parametrize("case", ["fail_overlap_same_pos", "ecut_1ry", "fail_close_0p1A"])
def test_structures_are_not_retried(case: str) -> None:
    assert climb(case) == []


def test_slowly_converging_run_gets_steps_and_sloshing_one_another_mixing() -> None:
    assert scf_trend([1.0 / 10**n for n in range(8)]) == "converging"
    assert scf_trend([1.0, 0.1, 1e-3, 0.5, 0.02, 5.0]) == "sloshing"
    assert scf_trend([1.0, 0.1, 0.02, 0.02, 0.02, 0.02]) == "stalled"
    assert climb("scf_sloshing_al8_b0.9n2")[0]["mixing_beta"] < 0.7


def test_occupied_last_band_gets_more_bands() -> None:
    assert climb("nbnd_al4_6", electrons=12.0)[0]["nbnd"] > 10
    bands = [changes["nbnd"] for changes in climb("fail_nbnd_small_smear_2", electrons=3.0)]
    assert bands == sorted(bands)


def test_failed_diagonalisation_gets_another_one() -> None:
    assert "cg" in [changes.get("diagonalization") for changes in climb("diag_david_ndim1")]
