"""What is learnt below the noise of the labels earns nothing, and expected errors are never below it."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlip_autopipec.ace.posterior import Deviation, Law, Posterior
from mlip_autopipec.config.full import Training
from mlip_autopipec.training.noise import Floor
from mlip_autopipec.training.search import search

NOISE = {
    "measured": True, "energy_mev_per_atom": 4.0, "force_mev_per_angstrom": 60.0,
    "frames": [{"atoms": 8}, {"atoms": 8}],
}  # fmt: skip


class Learnt:
    """Triangles of which each larger basis is better, all with errors below the noise."""

    folds, uids = (0, 1, 2), tuple(range(30))
    errors_of = ((2.2, 44.0), (1.2, 24.0), (1.0, 20.0))  # meV/atom, meV/A

    def __init__(self, bases):
        self.bases = list(bases)

    def basis(self, choice):
        return SimpleNamespace(number_of_functions=10 * (1 + self.bases.index(tuple(choice.degrees))))

    def solve(self, choice, without):
        return choice

    def errors(self, choice, fold):
        energy, force = self.errors_of[self.bases.index(tuple(choice.degrees))]
        return SimpleNamespace(energy_rmse_ev_per_atom=1e-3 * energy, force_rmse_ev_per_angstrom=1e-3 * force)


@pytest.fixture
def settings():
    values = {"degrees": [[4], [6], [8]], "cutoff_angstrom": 5.0, "cutoff_factors": [1.0], "energy_weights": [10.0]}
    return Training.model_construct(
        **{name: field.get_default(call_default_factory=True) for name, field in Training.model_fields.items()}
        | values
        | {"prior_powers": [2.0], "balanced_error_ratio": 1.15, "fast_error_ratio": 1.5, "stress_weight": 1.0}
    )


def test_with_noise_a_smaller_basis_that_is_a_little_worse_is_good_enough_and_a_bad_one_is_not(settings):
    triangles = Learnt([(4,), (6,), (8,)])
    free = search(triangles, {"Si": 5000}, settings)
    held = search(triangles, {"Si": 5000}, settings, Floor.of(NOISE))
    assert free.roles["accurate"].functions == held.roles["accurate"].functions == 30
    assert (free.roles["balanced"].functions, held.roles["balanced"].functions) == (30, 20)
    assert held.roles["fast"].functions == 20  # the smallest is 2.2 times worse on labels that have the noise too
    small = Floor.of(NOISE | {"energy_mev_per_atom": 0.5, "force_mev_per_angstrom": 10.0})
    assert search(triangles, {"Si": 5000}, settings, small).points[2].score == pytest.approx(
        np.sqrt(np.hypot(1e-3, 0.5e-3) * np.hypot(20e-3, 10e-3))
    )
    assert held.points[2].held_out == free.points[2].held_out  # errors are told as they are


def test_expected_errors_have_the_noise_in_them():
    law = Law(1.5, 0.7, 0.0)
    posterior = Posterior(np.zeros(2), np.eye(2), law, law, 1.0)
    under = Floor.of(NOISE).under(posterior)
    parts = np.array([0.0, 1e-5, 0.1, 3.0])
    assert (under.force_law(parts) >= 0.06).all()
    np.testing.assert_allclose(under.force_law(parts), np.hypot(posterior.force_law(parts), 0.06))
    for natoms in (2, 8, 256):
        sure = under.combine(Deviation(0.0, np.zeros((natoms, 3))))
        assert sure.energy_ev / natoms == pytest.approx(0.004)  # per atom the same in cells larger than the sample's
    part = Deviation(0.5, np.zeros((8, 3)))
    assert under.combine(part).energy_ev == pytest.approx(np.hypot(posterior.combine(part).energy_ev, 0.032))


@pytest.mark.parametrize("noise", [None, {"measured": False, "frames": []}])
def test_noise_that_was_not_measured_is_no_floor(noise):
    assert Floor.of(noise) == Floor()
    assert Floor.of(noise).record() is None
