"""The report says how far the potential can be trusted, and nothing where it was not measured."""

import numpy as np
import pytest
from report_run import WRITTEN, make_run

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config import expand
from mlip_autopipec.report import write_report

COVERED = {
    "frames": 9, "energy_within_one": 0.66, "energy_within_two": 0.94, "force_within_one": 0.71,
    "force_within_two": 0.953, "energy_rmse_mev_per_atom": 1.5, "energy_expected_mev_per_atom": 1.25,
    "force_rmse_mev_per_angstrom": 31.0, "force_expected_mev_per_angstrom": 33.0,
}  # fmt: skip
UNCERTAINTY = {
    "held_out": {"before": COVERED | {"energy_within_one": 0.12}, "after": COVERED},
    "test": {"before": COVERED, "after": COVERED},
    "reliability": {"expected_mev_per_angstrom": [10.0, 30.0], "true_mev_per_angstrom": [12.0, 28.0]},
    "ranking": {"force_by_deviation": 0.81, "force_by_gamma": 0.1, "energy_by_deviation": 0.5, "energy_by_gamma": None},
    "committee": {"members": 8, "attracting": 2, "energy_mev_per_atom": 1.1, "force_mev_per_angstrom": 29.0},
}
R = np.linspace(0.3, 5.0, 40)
DIMER = {
    "nearest_angstrom": 0.3,
    "pairs": {
        name: {
            "distance_angstrom": R, "energy_ev": 30 * np.exp(-2 * R), "force_ev_per_angstrom": 60 * np.exp(-2 * R),
            "shortest_distance_angstrom": 2.05, "attracts_at_angstrom": at, "passed": at is None,
        }
        for name, at in (("Cu-Cu", None), ("Cu-Zn", 1.234))
    },
}  # fmt: skip


@pytest.fixture
def page(tmp_path):
    def render(**records):
        files = make_run(tmp_path)
        for name, record in records.items():
            write_json(tmp_path / f"{name}.json", record)
            files[name] = str(tmp_path / f"{name}.json")
        write_report(expand(WRITTEN), files, tmp_path / "report.html", tmp_path / "summary.json")
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return render


def test_coverage_ranking_and_committee_are_said(page):
    text = page(uncertainty=UNCERTAINTY)
    assert 'id="trust"' in text
    assert "71 % of the force components and 66 % of the energies lie within one" in text
    assert "Spearman correlation of 0.81" in text
    assert "committee of 8 potentials" in text
    assert "2 of the members let a pair attract" in text
    assert "12 %" in text
    assert "potential_posterior.npz" in text
    assert "pressed together" not in text


def test_pairs_that_attract_are_named(page):
    text = page(dimer=DIMER)
    assert "attracts at 1.23 Å" in text
    assert text.count("2.05") >= 2
    assert "Errors to be expected" not in text


def test_without_test_labels_the_held_out_errors_remain(page):
    less = UNCERTAINTY | {"test": {"before": {"frames": 0}, "after": {"frames": 0}}}
    text = page(uncertainty={key: less[key] for key in ("held_out", "test", "committee")})
    assert "training, held out" in text
    assert "On the test set, which" not in text


def test_what_was_not_measured_has_no_section(page):
    text = page()
    assert 'id="trust"' not in text
    assert "potential_posterior.npz" not in text
