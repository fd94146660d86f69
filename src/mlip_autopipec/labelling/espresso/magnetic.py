"""From which magnetic moments the self-consistent field of a frame starts, and when a moment was lost.

A self-consistent field keeps the kind of magnetic order that it starts from: one that starts without a moment ends
without one (fcc Ni 0.1 eV/atom too high), a parallel one stays parallel. Frames with moments are therefore started
from several states, and the lowest in energy is the label. The states:

- high: the moments of `starting_magnetization`, parallel unless its signs say otherwise;
- low: `LOW_FRACTION` of them, parallel: leads to low-spin and nonmagnetic solutions (fcc Fe, compressed cells);
- antiferro: neighbours antiparallel as far as the lattice allows, see `ordering`;
- ferri: the late 3d metals one way, their early partners and the lanthanides the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, ground_state_magnetic_moments

from mlip_autopipec.config.magnetism import AGAINST_LATE_3D, LATE_3D
from mlip_autopipec.labelling.espresso.ordering import alternating
from mlip_autopipec.labelling.espresso.settings import EspressoSettings, is_isolated_atom, valence_electrons

HIGH, LOW, ANTIFERRO, FERRI, UNPOLARISED, NEIGHBOURS = "high", "low", "antiferro", "ferri", "unpolarised", "neighbours"
LOW_FRACTION = 0.3
STRONG_FRACTION = 0.15  # of the largest starting moment: Cu2+ (1) beside Mn2+ (5) still has an order of its own
SAME_ENERGY_EV_PER_ATOM = 1e-5  # two fields that ended alike differ by what conv_thr leaves, 1e-8 eV/atom and more
EXPECTED_MIN_BOHR_MAGNETON = 0.5  # smaller moments come and go with the smearing: no collapse is told by them
COLLAPSED_FRACTION = 0.3  # of the expected moment


@dataclass(frozen=True)
class State:
    """Where the moments of a frame start.

    Attributes:
        name: as in `Label.branch`; of isolated atoms "atom:2" (moment 2), "atom:2 smeared".
        site_moments: by atom, Bohr magnetons; None: without spin.
        total: total moment that is held, Bohr magnetons; of isolated atoms only.
        whole: whole electrons in the lowest orbitals; of isolated atoms only.
        why: what the state is good for, in words.
    """

    name: str
    site_moments: tuple[float, ...] | None = None
    total: int | None = None
    whole: bool = False
    why: str = ""


class Plan(NamedTuple):
    """The states to start from, the likeliest first, and by name why others are left out."""

    states: list[State]
    left_out: dict[str, str]


def starting_states(atoms: Atoms, settings: EspressoSettings) -> list[State]:
    """The states to start a frame from, the likeliest first; see `plan`."""
    return plan(atoms, settings).states


def plan(atoms: Atoms, settings: EspressoSettings) -> Plan:
    """The states to start a frame from, and the ones that were left out.

    A frame without magnetic elements is computed without spin, whatever its neighbours in the dataset: a field that
    starts without a moment has the same energy with spin and without. States that start alike, but for turning all
    moments over, are one.

    Raises:
        ConfigurationFault: an element has no usable pseudopotential.
    """
    if is_isolated_atom(atoms):
        moments = spin_states(str(atoms.symbols[0]), valence_electrons(atoms, settings))
        return Plan([atom_state(moment) for moment in moments], {})
    high = high_moments(atoms, settings)
    if not high.any():
        return Plan([State(UNPOLARISED)], {})
    tried: list[State] = []
    left_out: dict[str, str] = {}
    for kind in settings.magnetic_states or (HIGH,):
        states, why_not = _states_of(kind, atoms, high)
        if why_not:
            left_out[kind] = why_not
        for state in states:
            alike = next((one for one in tried if _alike(one, state)), None)
            if alike is None:
                tried.append(state)
            else:
                left_out[state.name] = f"starts like {alike.name}"
    return Plan(tried or _states_of(HIGH, atoms, high)[0], left_out)


def high_moments(atoms: Atoms, settings: EspressoSettings) -> np.ndarray:
    """Moments (natoms,) of `starting_magnetization`, Bohr magnetons; zeros without spin."""
    fractions = settings.starting_magnetization if settings.nspin == 2 else {}
    by_element = {
        symbol: fractions[symbol] * settings.pseudopotential(symbol).z_valence if fractions.get(symbol) else 0.0
        for symbol in dict.fromkeys(map(str, atoms.symbols))
    }
    return np.array([by_element[str(symbol)] for symbol in atoms.symbols])


def _states_of(kind: str, atoms: Atoms, high: np.ndarray) -> tuple[list[State], str]:
    """The states of one kind, and why there are none."""
    if kind == HIGH:
        return [State(HIGH, _tuple(high), why="as starting_magnetization says")], ""
    if kind == LOW:
        return [State(LOW, _tuple(LOW_FRACTION * high), why="parallel, low moments")], ""
    if kind == FERRI:
        present = {str(symbol) for symbol, moment in zip(atoms.symbols, high, strict=True) if moment}
        if not present & LATE_3D or not present & AGAINST_LATE_3D:
            return [], "no elements whose moments are known to turn against each other"
        signs = np.where(np.isin(atoms.symbols, sorted(AGAINST_LATE_3D)), -1, 1)
        against = ", ".join(sorted(present & AGAINST_LATE_3D))
        return [State(FERRI, _tuple(signs * high), why=f"{against} against the late 3d metals")], ""
    strong = np.abs(high) >= STRONG_FRACTION * np.abs(high).max()  # small moments beside (on O) follow by themselves
    orders, why_not = alternating(atoms, strong)
    names = [ANTIFERRO, *(f"{ANTIFERRO} {order.rule}" for order in orders[1:])]
    return [
        State(name, _tuple(np.array(order.signs) * np.abs(high)), why=order.why)
        for name, order in zip(names, orders, strict=False)
    ], why_not


def _tuple(moments: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(moment), 3) + 0.0 for moment in moments)


def _alike(one: State, other: State) -> bool:
    if one.site_moments is None or other.site_moments is None:
        return one.site_moments == other.site_moments
    a, b = np.array(one.site_moments), np.array(other.site_moments)
    return bool(np.allclose(a, b, atol=1e-3) or np.allclose(a, -b, atol=1e-3))


def lowest(energies_ev: Sequence[float], natoms: int) -> int:
    """The state to keep: the likeliest of those that end as low as the lowest, for two starts often end alike.

    Args:
        energies_ev: by state, the likeliest first; infinite where there is none.
    """
    energies = np.asarray(energies_ev, dtype=float)
    if not np.isfinite(energies).any():
        return 0
    return int(np.flatnonzero(energies <= energies.min() + SAME_ENERGY_EV_PER_ATOM * natoms)[0])


def collapsed(moments: Sequence[float], expected: Sequence[float]) -> list[int]:
    """Atoms whose moment is lost against what their like have elsewhere; the sign does not count.

    A lost moment may be the ground state (a compressed cell, a low-spin ion) or a field that fell into the wrong
    solution: start again from `neighbours_states`, and the lower energy tells.

    Args:
        moments: by atom, of the label, Bohr magnetons.
        expected: by atom, of atoms of the same element in like surroundings; less than `EXPECTED_MIN` says nothing.
    """
    found, wanted = np.abs(np.asarray(moments, dtype=float)), np.abs(np.asarray(expected, dtype=float))
    lost = (wanted >= EXPECTED_MIN_BOHR_MAGNETON) & (found < COLLAPSED_FRACTION * wanted)
    return [int(number) for number in np.flatnonzero(lost)]


def neighbours_states(atoms: Atoms, expected: Sequence[float]) -> list[State]:
    """States that start from the moments that the neighbours in the dataset ended with, parallel and alternating.

    Args:
        expected: by atom, as of `collapsed`; each element starts from the median of its atoms', for pw.x takes few
            species.
    """
    magnitudes = np.abs(np.asarray(expected, dtype=float))
    for number in np.unique(atoms.numbers):
        of_element = atoms.numbers == number
        magnitudes[of_element] = float(np.median(magnitudes[of_element]))
    magnitudes[magnitudes < EXPECTED_MIN_BOHR_MAGNETON] = 0.0
    if not magnitudes.any():
        return []
    states = [State(NEIGHBOURS, _tuple(magnitudes), why="moments of like frames, parallel")]
    orders, _ = alternating(atoms, magnitudes != 0)
    for order in orders[:1]:
        moments = _tuple(np.array(order.signs) * magnitudes)
        states.append(State(f"{NEIGHBOURS} {ANTIFERRO}", moments, why=f"moments of like frames, {order.why}"))
    return states


def atom_state(moment: int, *, whole: bool = True) -> State:
    """State of an isolated atom with this total moment, Bohr magnetons; without spin where it is 0."""
    name = f"atom:{moment}" if whole else f"atom:{moment} smeared"
    return State(name, (float(moment),) if moment else None, moment, whole)


def branch_of(state: State) -> str:
    """The word for `Label.branch`."""
    return "atom" if state.total is not None else state.name


def spin_states(symbol: str, valence: float) -> list[int]:
    """Total moments (Bohr magnetons) of an isolated atom that are worth a run, the likeliest first.

    Hund's moment (ground states as tabulated in ASE), two less, two more where the valence shell has room for it, and
    none where the electrons are even: density functionals do not always put the experimental state lowest. A
    pseudopotential that keeps open shells in its core (lanthanides) has fewer electrons than the table counts: its
    smallest moments are taken then.

    Args:
        valence: valence electrons of the pseudopotential.
    """
    electrons = round(valence)
    hund = round(float(ground_state_magnetic_moments[atomic_numbers[symbol]]))
    if hund > electrons or (hund - electrons) % 2:
        hund = electrons % 2
    tried = [hund, hund - 2, hund + 2, electrons % 2]
    most = max(hund, min(electrons, largest_moment(symbol)))
    return [m for m in dict.fromkeys(tried) if 0 <= m <= most]


def largest_moment(symbol: str) -> int:
    """Most unpaired electrons that the outer shell holds: s of hydrogen and helium, s and p of main groups, s and d of
    transition metals, s, d and f of lanthanides and actinides. More would need an orbital of the next shell.
    """
    number = atomic_numbers[symbol]
    core = max(noble for noble in (0, 2, 10, 18, 36, 54, 86) if noble < number)
    electrons = number - core
    if core == 0:
        orbitals = 1
    elif core in (2, 10) or electrons <= 2:
        orbitals = 4
    elif core in (18, 36):
        orbitals, electrons = (6, electrons) if electrons <= 12 else (4, electrons - 10)
    elif electrons <= 16:
        orbitals = 13
    else:
        orbitals, electrons = (6, electrons - 14) if electrons <= 26 else (4, electrons - 24)
    return min(electrons, 2 * orbitals - electrons)
