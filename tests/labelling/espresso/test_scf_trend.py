"""How an SCF is going, judged on the real histories of tests/data/qe and on the text of a run that is under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlip_autopipec.labelling.espresso.output import read_beside
from mlip_autopipec.labelling.espresso.trend import (
    ASTRAY_ITERATIONS,
    NEAR_RY,
    STUCK_ITERATIONS,
    Watcher,
    hopeless,
    scf_trend,
    steps_to_go,
)

DATA = Path(__file__).parents[2] / "data" / "qe"


def histories(converged: bool) -> dict[str, list[float]]:
    """Accuracies by iteration of the single SCFs among the real runs."""
    found = {}
    for folder in sorted(path for path in DATA.iterdir() if (path / "pw.out").is_file()):
        text = read_beside(folder).text
        if text.calculation == "scf" and len(text.accuracies_ry) > 3 and text.converged == converged:
            found[folder.name] = text.accuracies_ry
    return found


def stops_at(accuracies: list[float]) -> int | None:
    return next((n for n in range(1, len(accuracies)) if hopeless(accuracies[:n])), None)


def test_no_run_that_converged_would_have_been_stopped() -> None:
    good = histories(converged=True)
    assert len(good) > 30
    assert max(map(len, good.values())) > 70
    assert {name: stop for name, found in good.items() if (stop := stops_at(found))} == {}


@pytest.mark.parametrize(
    ("case", "saved"),
    [
        ("scf_sloshing_al_slab_beta0p9", 20),
        ("scf_sloshing_al8_b0.9n2", 8),
        ("scf_Oatom_fixed_nspin1", 40),
        ("fail_metal_fixed_even", 70),
        ("nbnd_al4_6", 30),
    ],
)
def test_runs_that_never_converged_are_stopped_early(case: str, saved: int) -> None:
    accuracies = histories(converged=False)[case]
    stop = stops_at(accuracies)
    assert stop is not None
    assert len(accuracies) - stop >= saved


def test_trend_tells_slow_from_sloshing_and_stalled() -> None:
    assert scf_trend([1.0 / 10**n for n in range(8)]) == "converging"
    assert scf_trend([1.0, 0.1, 1e-3, 0.5, 0.02, 5.0]) == "sloshing"
    assert scf_trend([1.0, 0.1, 0.02, 0.02, 0.02, 0.02]) == "stalled"
    assert scf_trend([1.0, 0.1]) == "stalled"
    bad = histories(converged=False)
    assert scf_trend(bad["ladder_al12_step0_default_max40"]) == "converging"
    assert scf_trend(bad["scf_sloshing_al_slab_beta0p9"]) == "sloshing"
    assert scf_trend(bad["scf_beta_1e-4"]) == "stalled"


def test_steps_to_go_follow_the_slope() -> None:
    assert steps_to_go([10.0**-n for n in range(6)], 1e-9) == pytest.approx(5, abs=1)
    assert steps_to_go([10.0**n for n in range(6)], 1e-9) is None
    assert steps_to_go([1e-3], 1e-9) is None


def test_falling_run_is_never_hopeless_however_slow() -> None:
    slow = [10.0 * 0.97**n for n in range(400)]
    assert stops_at(slow) is None
    up_and_down = [value * (5.0 if n % 2 else 0.2) for n, value in enumerate(10.0 * 0.9**n for n in range(200))]
    assert stops_at(up_and_down) is None


def test_plateau_and_sloshing_have_their_patience() -> None:
    assert stops_at([1.0, 1e-4, *[1e-3] * 100]) == STUCK_ITERATIONS + 2
    assert stops_at([1.0, 1e-4, *[1.0] * 100]) == ASTRAY_ITERATIONS + 2


def test_runs_that_are_accurate_already_are_left_alone() -> None:
    """Real ones were thrown from 1e-8 to 1e-5 Ry, stayed there for 20 iterations, and converged."""
    assert stops_at([1.0, 1e-3, 1e-8, *[0.9 * NEAR_RY] * 200]) is None


def test_long_plateau_of_a_magnet_is_waited_for() -> None:
    """bcc Fe, 2 atoms, high moments (pw.x 6.7, PBE): 42 iterations without a new best accuracy, then converged."""
    iron = [
        0.45, 0.21, 0.0043, 0.038, 0.011, 0.0057, 0.0025, 0.010, 0.034, 0.0042, 0.0056, 0.010, 0.011, 0.011, 0.010,
        0.011, 0.011, 0.017, 0.0029, 0.0030, 0.0040, 0.0036, 0.0071, 0.0026, 0.0027, 0.0033, 0.015, 0.011, 0.0083,
        0.018, 0.036, 0.043, 0.034, 0.075, 0.085, 0.012, 0.0064, 0.0082, 0.0085, 0.0076, 0.018, 0.060, 0.012, 0.0030,
        0.0037, 0.0050, 0.0055, 0.0054, 0.011, 0.0024, 0.0021, 0.0016, 0.0016, 0.0012, 0.0014, 0.0010, 0.0016, 0.0018,
        0.0018, 0.0018, 0.0018, 0.0019, 0.0023, 0.0027, 8.5e-4, 5.2e-4, 1.5e-5, 7.2e-5, 1.2e-5, 3.9e-6, 7.3e-6,
        6.5e-6, 3.4e-6, 6e-8,
    ]  # fmt: skip
    assert stops_at(iron) is None


def test_watcher_reads_a_growing_output_line_by_line(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "pw.out")
    assert watcher() is None, "there is no file yet"
    line = "     estimated scf accuracy    <       0.50000000 Ry\n"
    with open(tmp_path / "pw.out", "w") as out:
        out.write(line + line[:20])
        out.flush()
        assert watcher() is None
        assert watcher.accuracies_ry == [0.5]
        out.write(line[20:] + "     estimated scf accuracy    <       ********* Ry\n")
        out.flush()
        assert watcher() is None
        assert watcher.accuracies_ry == [0.5, 0.5]
    whole = (DATA / "scf_sloshing_al8_b0.9n2" / "pw.out").read_bytes()
    grown, said = tmp_path / "grown.out", None
    watcher = Watcher(grown)
    for end in range(0, len(whole), 997):
        grown.write_bytes(whole[:end])
        said = said or watcher()
    assert said is not None
    assert "charge sloshing" in said
