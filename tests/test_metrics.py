import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.frames import new_frame
from mlip_autopipec.metrics import evaluate
from mlip_autopipec.report.tables import error_rows


class Potential(EMT):
    def gamma(self, atoms):
        return np.ones(len(atoms))


def labelled(a: float, off_ev_per_atom: float, config_type: str, start_type: str = ""):
    extra = {"start_type": start_type} if start_type else {}
    frame = new_frame(bulk("Cu", a=a, cubic=True), origin="t", config_type=config_type, **extra)
    told = frame.copy()
    told.calc = EMT()
    frame.info["REF_energy"] = told.get_potential_energy() - off_ev_per_atom * len(frame)
    frame.arrays["REF_forces"] = told.get_forces()
    return frame


def test_test_errors_are_told_apart_by_what_the_walkers_started_from():
    test = [labelled(3.6, 0.002, "test", "crystal"), labelled(3.7, 0.004, "test", "vacancy")]
    found = evaluate(Potential(), [labelled(3.5, 0.0, "rattle"), labelled(3.55, 0.001, "explored", "melt")], test)
    by_start = {kind: one["energy_rmse_mev_per_atom"] for kind, one in found["test_by_type"].items()}
    assert by_start == pytest.approx({"crystal": 2.0, "vacancy": 4.0})
    assert set(found["train_by_type"]) == {"rattle", "explored"}
    assert found["test"]["energy_rmse_mev_per_atom"] == pytest.approx(np.sqrt(10))
    rows = [(row["set"], row["type"]) for row in error_rows(found)]
    assert ("test, walks from", "vacancy") in rows
    assert ("training", "rattle") in rows


def test_test_frames_that_no_walker_made_keep_their_own_type():
    found = evaluate(Potential(), [], [labelled(3.6, 0.002, "test"), labelled(3.7, 0.004, "surface")])
    assert set(found["test_by_type"]) == {"test", "surface"}
    assert {row["set"] for row in error_rows(found)} == {"training", "test"}
