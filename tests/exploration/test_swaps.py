"""Swaps of unlike atoms: exact frequencies, no heating, momenta, resumption, and what cannot be swapped."""

import itertools

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.stats import chi2
from toy_walkers import Energy, Still, exploration, killed_and_resumed_is_uninterrupted

from mlip_autopipec.config.walks import Walk
from mlip_autopipec.errors import DataError
from mlip_autopipec.exploration.evaluations import Evaluations
from mlip_autopipec.exploration.swaps import Swaps, swaps
from mlip_autopipec.integrators import kinetic_temperature_k

T = 600.0
KT = units.kB * T


def stepper(atoms, dynamics=None, every=1, per_round=10):
    return Swaps(
        atoms, dynamics or Still(), temperature_k=T, interval_steps=every, swaps_per_round=per_round,
        minimum_distance_fraction=0.6,
    )  # fmt: skip


class Lattice:
    """Sites with a field for each element and a pair energy for each pair of elements on neighbouring sites."""

    def __init__(self, elements: str, seed: int):
        corners = list(itertools.product((0.0, 1.0), repeat=3))[: len(elements)]
        self.sites = 3.0 * np.array(corners)
        random = np.random.default_rng(seed)
        self.kinds = sorted(set(elements))
        self.field = random.normal(0, 0.7 * KT, (len(self.kinds), len(elements)))
        pairs = random.normal(0, 0.7 * KT, (len(self.kinds),) * 2)
        self.pairs = pairs + pairs.T
        distances = np.linalg.norm(self.sites[:, None] - self.sites, axis=2)
        self.neighbours = np.argwhere(np.triu(abs(distances - 3.0) < 0.1))
        symbols = [{"A": "Cu", "B": "Au", "C": "Ag"}[e] for e in elements]
        self.atoms = Atoms(symbols, positions=self.sites, cell=[20, 20, 20], pbc=True)
        self.of = np.array([self.kinds.index(e) for e in elements])

    def arrangement(self, atoms) -> tuple[int, ...]:
        at = np.linalg.norm(atoms.positions[:, None] - self.sites, axis=2).argmin(axis=1)
        found = np.empty(len(atoms), dtype=int)
        found[at] = self.of
        return tuple(found)

    def energy(self, arrangement) -> float:
        pair = sum(self.pairs[arrangement[i], arrangement[j]] for i, j in self.neighbours)
        return float(pair + sum(self.field[k, site] for site, k in enumerate(arrangement)))


def chi_square_p(visited, weights) -> float:
    """Probability of at least this deviation; bins expected fewer than five times are joined."""
    expected = np.array([weights[k] for k in weights]) / sum(weights.values()) * sum(visited.values())
    seen = np.array([visited.get(k, 0) for k in weights], dtype=float)
    order = np.argsort(expected)
    few = max(1, int((expected < 5).sum()))
    join, rest = order[:few], order[few:]
    expected = np.append(expected[rest], expected[join].sum())
    seen = np.append(seen[rest], seen[join].sum())
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(expected) - 1))


@pytest.mark.parametrize(("elements", "states"), [("AAAABBBB", 70), ("AABBCC", 90)])
def test_arrangements_are_visited_with_boltzmann_frequencies(elements, states):
    lattice = Lattice(elements, seed=3)
    weights = {
        arrangement: np.exp(-lattice.energy(arrangement) / KT)
        for arrangement in set(itertools.permutations(lattice.of))
    }
    assert len(weights) == states
    atoms, random = lattice.atoms.copy(), np.random.default_rng(1)
    atoms.calc = Evaluations(Energy(lambda a: lattice.energy(lattice.arrangement(a))))
    walker = stepper(atoms, per_round=12)
    visited = {}
    for _ in range(1000):
        walker.advance(atoms, 1, random)
        here = lattice.arrangement(atoms)
        visited[here] = visited.get(here, 0) + 1
    p = chi_square_p(visited, weights)
    print(f"{elements}: p = {p:.3f}, {walker.notes()}")
    assert p > 0.001
    wrong = {k: w**0.7 for k, w in weights.items()}  # the test would see a temperature that is 40 % too high
    assert chi_square_p(visited, wrong) < 0.001


class Vibrations(Still):
    """Dynamics in the long run: every atom is drawn anew around its site, on springs of its element and site."""

    def __init__(self, lattice, stiffness):
        self.lattice, self.stiffness = lattice, stiffness

    def places(self, atoms):
        """The site of every atom, its way from there (A) and its spring (eV/A^2)."""
        away = atoms.positions[:, None] - self.lattice.sites
        at = np.linalg.norm(away, axis=2).argmin(axis=1)
        return at, away[np.arange(len(atoms)), at], self.stiffness[self.lattice.of, at]

    def energy(self, atoms) -> float:
        at, away, stiff = self.places(atoms)
        return float(self.lattice.field[self.lattice.of, at].sum() + 0.5 * (stiff * (away**2).sum(axis=1)).sum())

    def advance(self, atoms, steps, random):
        at, _, stiff = self.places(atoms)
        atoms.positions = (
            self.lattice.sites[at] + random.standard_normal((len(atoms), 3)) * np.sqrt(KT / stiff)[:, None]
        )


def test_with_dynamics_vibrations_count_as_they_must():
    """Springs: the weight of an arrangement is exp(-E/kT) times the product of stiffness^(-3/2) over atoms."""
    lattice = Lattice("AABB", seed=8)
    stiffness = np.array([[2.0, 6.0, 3.0, 9.0], [4.0, 2.0, 8.0, 3.0]])  # eV/A^2
    weights, without = {}, {}
    for arrangement in set(itertools.permutations(lattice.of)):
        without[arrangement] = float(np.exp(-sum(lattice.field[k, s] for s, k in enumerate(arrangement)) / KT))
        weights[arrangement] = float(without[arrangement] * np.prod(stiffness[list(arrangement), range(4)] ** -1.5))
    atoms, random = lattice.atoms.copy(), np.random.default_rng(2)
    vibrations = Vibrations(lattice, stiffness)
    atoms.calc = Evaluations(Energy(vibrations.energy))
    walker = stepper(atoms, vibrations, per_round=2)
    visited = {}
    for _ in range(1500):
        walker.advance(atoms, 2, random)
        here = lattice.arrangement(atoms)
        visited[here] = visited.get(here, 0) + 1
    print(chi_square_p(visited, weights), chi_square_p(visited, without), walker.notes())
    assert chi_square_p(visited, weights) > 0.001
    assert chi_square_p(visited, without) < 1e-6


def copper_gold() -> Atoms:
    atoms = bulk("Cu", "fcc", a=3.87, cubic=True) * (2, 2, 2)
    atoms.numbers[::2] = 79
    atoms.calc = Evaluations(EMT())
    return atoms


def test_swaps_keep_kinetic_energy_and_momentum_where_bare_exchanges_heat():
    """Measured, CuAu with EMT at 1000 K, hardly any friction: see the numbers this prints."""
    settings = exploration(temperatures_k=[1000], friction_per_ps=1e-6, timestep_fs=3.0)
    walk = Walk("swaps-0", "swaps", 1000, 600)

    def heated(bare: bool) -> tuple[float, float, int]:
        atoms, random = copper_gold(), np.random.default_rng(4)
        walker = swaps(atoms, settings, walk)
        walker.begin(atoms, random)
        atoms.rattle(0.1, seed=1)
        kinetic, work = [], 0.0
        for _ in range(30):
            walker.dynamics.advance(atoms, 5, random)
            before = atoms.get_kinetic_energy()
            momentum = atoms.get_momenta().sum(axis=0)
            old = atoms.positions.copy()
            walker.round(atoms, random)
            if bare:  # elements exchanged, momenta left at their sites: what the positions' exchange does otherwise
                moved = np.flatnonzero(abs(atoms.positions - old).sum(axis=1) > 1e-9)
                momenta = atoms.get_momenta()
                target = [int(np.argmin(np.linalg.norm(old - atoms.positions[k], axis=1))) for k in moved]
                changed = momenta.copy()
                changed[moved] = momenta[target]
                atoms.set_momenta(changed)
            else:
                np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), momentum, atol=1e-12)
            work += atoms.get_kinetic_energy() - before
            kinetic.append(kinetic_temperature_k(atoms))
        return (
            work / (1.5 * (len(atoms) - 1) * units.kB),
            float(np.mean(kinetic[-10:])),
            walker.notes()["swaps_accepted"],
        )

    kept, kept_end, accepted = heated(bare=False)
    bare, bare_end, _ = heated(bare=True)
    print(f"kept: {kept:.1f} K in {accepted} swaps, end {kept_end:.0f} K; bare: {bare:.0f} K, end {bare_end:.0f} K")
    assert kept == pytest.approx(0.0, abs=1e-9)
    assert accepted > 12
    assert bare > 100


def test_a_hot_alloy_with_swaps_has_the_thermostats_temperature():
    atoms, random = copper_gold(), np.random.default_rng(0)
    walker = swaps(atoms, exploration(temperatures_k=[1000]), Walk("s", "swaps", 1000, 800))
    walker.begin(atoms, random)
    seen = []
    for _ in range(50):
        walker.advance(atoms, 10, random)
        seen.append(kinetic_temperature_k(atoms))
    print(np.mean(seen[20:]), walker.notes())
    assert np.mean(seen[20:]) == pytest.approx(1000, rel=0.06)


def test_resumed_swaps_are_uninterrupted_swaps():
    def make(atoms):
        return swaps(atoms, exploration(swap_interval_steps=6), Walk("s", "swaps", 1000, 100))

    start = copper_gold()
    start.calc = None
    killed_and_resumed_is_uninterrupted(make, start, EMT)


def test_trials_ask_for_the_energy_alone():
    lattice = Lattice("AAAABBBB", seed=3)
    calculator = Energy(lambda a: lattice.energy(lattice.arrangement(a)))
    atoms = lattice.atoms.copy()
    atoms.calc = Evaluations(calculator)
    stepper(atoms).advance(atoms, 3, np.random.default_rng(0))
    assert set(calculator.asked) == {("energy",)}


def test_one_element_is_plain_dynamics_and_says_so():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = Evaluations(EMT())
    walker = swaps(atoms, exploration(), Walk("s", "swaps", 300, 20))
    walker.begin(atoms, np.random.default_rng(0))
    walker.advance(atoms, 20, np.random.default_rng(0))
    assert "one element" in walker.notes()["swaps"]
    assert atoms.calc.count <= 21


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), DataError("too near")])
def test_a_trial_without_a_number_is_refused_and_the_walk_goes_on(bad):
    lattice = Lattice("AAAABBBB", seed=3)
    first = lattice.arrangement(lattice.atoms)

    def energy(atoms):
        if lattice.arrangement(atoms) == first:
            return 0.0
        if isinstance(bad, Exception):
            raise bad
        return bad

    atoms = lattice.atoms.copy()
    atoms.calc = Evaluations(Energy(energy))
    walker = stepper(atoms)
    walker.advance(atoms, 2, np.random.default_rng(0))
    assert lattice.arrangement(atoms) == first
    assert walker.notes()["swap_acceptance"] == 0.0
