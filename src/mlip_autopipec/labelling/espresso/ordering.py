"""Antiferromagnetic orders of a frame: which moments point against which, found from the positions alone.

Two rules say which pairs want to be antiparallel. Nearest neighbours of the magnetic sublattice do (bcc Cr: the two
cubes; fcc Mn: layers along a cube edge, where no order can satisfy all; Cr2O3: + - + - along the axis), and so do
metals that an anion bridges at a wide angle (superexchange: Goodenough, Magnetism and the Chemical Bond, 1963; MnO,
FeO and NiO: alternate (111) layers; perovskites: all six neighbours; Fe2O3: + - - +). Where the two lead to different
orders both are told. The order of lowest energy for the pairs' couplings is searched for: by trying all for few sites,
else by turning single moments and pairs from several starts. It is one method for perfect, distorted and liquid
frames, so that a hot frame has the order of the crystal it came from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from matscipy.neighbours import neighbour_list

from mlip_autopipec.frames import pairs

RANGE_ANGSTROM = 6.0  # sites farther apart are not coupled
SHELL, SOFTNESS = 1.15, 0.05  # of the nearest distance: bcc's second shell (1.15) has half the say, fcc's (1.41) none
REACH = 1.6  # of the nearest distance; from SHELL to there pairs want to be parallel a little
PARALLEL_BEYOND = 0.05  # so much: layers in fcc, not longer periods
CLOSEST = 4  # neighbours whose mean distance is the nearest: one alone gets too short when a frame is hot
BOND = 1.25  # of the sum of covalent radii: metal to bridging anion, and atoms of one magnetic molecule (O2)
BRIDGE_COSINE = -0.5  # angles of more than 120 degrees couple: rock salt 180, perovskites 150 to 180, rutile 130
NONMETALS = frozenset({1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53})
ALL_TRIED_TO = 12  # sites; 2048 orders
UNBALANCED_MAX = (
    0.2  # of the sites: a larger remainder is a ferrimagnet, taken where all its neighbours are antiparallel
)


class Order(NamedTuple):
    """Signs of the moments by atom (0 where there is none), the rule they follow, and what they satisfy, in words."""

    rule: str
    signs: tuple[int, ...]
    why: str


def alternating(atoms: Atoms, magnetic: np.ndarray) -> tuple[list[Order], str]:
    """The antiferromagnetic orders worth a run, the likeliest first; none twice.

    Args:
        atoms: frame, of which pw.x makes images in all directions.
        magnetic: (natoms,) whether an atom carries a moment.

    Returns:
        Orders by rule ('bridges' before 'nearest'), and why there is none where the list is empty.
    """
    atoms = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)  # as pw.x has it
    units = _units(atoms, magnetic)
    if len(units) < 2:
        return [], "one magnetic site in the cell: it is parallel to its own images"
    site = np.full(len(atoms), -1)
    for number, unit in enumerate(units):
        site[unit] = number
    nearest = _nearest(atoms, site, len(units))
    bridged = _bridged(atoms, magnetic, site, len(units))
    found: list[Order] = []
    for rule, coupling in (("bridges", bridged + 1e-3 * nearest if bridged.any() else bridged), ("nearest", nearest)):
        if not (coupling > 0).any():
            continue
        signs = lowest_order(coupling)
        against = (coupling > 0.1 * coupling.max()) & np.not_equal.outer(signs, signs)
        wanted = coupling > 0.1 * coupling.max()
        share = float(coupling[against].sum() / coupling[wanted].sum())
        if abs(int(signs.sum())) > UNBALANCED_MAX * len(signs) and share < 0.999:
            continue
        by_atom = tuple(int(signs[n]) if n >= 0 else 0 for n in site)
        if all(by_atom != one.signs for one in found):
            what = "metals bridged by an anion" if rule == "bridges" else "nearest magnetic neighbours"
            found.append(Order(rule, by_atom, f"{what} antiparallel ({100 * share:.0f} % of the couplings)"))
    return found, "" if found else "magnetic sites are not neighbours, or no order of them balances"


def lowest_order(coupling: np.ndarray) -> np.ndarray:
    """Signs (n,) of +1 and -1, the first +1, of least sum of coupling_ij s_i s_j; balanced among equals.

    Args:
        coupling: (n, n), symmetric, positive where the pair wants to be antiparallel; the diagonal is not used.
    """
    n = len(coupling)
    j = np.array(coupling, dtype=float)
    np.fill_diagonal(j, 0.0)
    scale = float(np.abs(j).max())
    j = j / scale + 1e-4  # the small equal coupling of all pairs prefers a total of zero
    np.fill_diagonal(j, 0.0)
    if n <= ALL_TRIED_TO:
        numbers = np.arange(2 ** (n - 1))
        tried = 1 - 2 * ((numbers[:, None] >> np.arange(n)[None, ::-1]) & 1)
        energies = np.einsum("ki,ij,kj->k", tried, j, tried)
    else:
        _, vectors = np.linalg.eigh(j)
        starts = [np.where(vectors[:, k] >= 0, 1, -1) for k in range(min(n, 8))] + [_greedy(j, k) for k in range(n)]
        tried = np.array([_descend(j, start) for start in starts])
        energies = np.einsum("ki,ij,kj->k", tried, j, tried)
    lowest = np.flatnonzero(energies <= energies.min() + 1e-9 * n)[0]
    return np.asarray(tried[lowest] * tried[lowest][0], dtype=int)


def _greedy(j: np.ndarray, first: int) -> np.ndarray:
    """Signs given one after another from one site on, always to the site that the placed ones tell most clearly."""
    signs = np.zeros(len(j), dtype=int)
    signs[first] = 1
    while not signs.all():
        field = np.where(signs == 0, j @ signs, 0.0)
        at = int(np.argmax(np.where(signs == 0, np.abs(field), -1.0)))
        signs[at] = -1 if field[at] >= 0 else 1
    return signs


def _descend(j: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Turn the moment, or the antiparallel pair, that gains most, until none gains."""
    signs = signs.copy()
    while True:
        gain = 2 * signs * (j @ signs)  # of turning one
        pair = gain[:, None] + gain[None, :] - 4 * j * np.multiply.outer(signs, signs)
        np.fill_diagonal(pair, -np.inf)
        one, two = np.unravel_index(int(np.argmax(pair)), pair.shape)
        if max(gain.max(), pair[one, two]) <= 1e-9:
            return signs
        if gain.max() >= pair[one, two]:
            signs[int(np.argmax(gain))] *= -1
        else:
            signs[[one, two]] *= -1


def _units(atoms: Atoms, magnetic: np.ndarray) -> list[list[int]]:
    """Magnetic sites: single metal atoms, and the bonded magnetic nonmetal atoms of a molecule (O2) as one."""
    group = np.arange(len(atoms))
    inner = magnetic & np.isin(atoms.numbers, list(NONMETALS))
    if inner.any():
        radii = covalent_radii[atoms.numbers]
        first, second, distance = pairs(atoms, 2 * BOND * float(radii[inner].max()))
        bonded = inner[first] & inner[second] & (distance < BOND * (radii[first] + radii[second]))
        for one, two in zip(first[bonded], second[bonded], strict=True):
            group[group == group[two]] = group[one]
    return [list(np.flatnonzero((group == g) & magnetic)) for g in dict.fromkeys(group[magnetic])]


def _nearest(atoms: Atoms, site: np.ndarray, n: int) -> np.ndarray:
    """Coupling of sites (n, n) by distance, in parts of the nearest one's."""
    first, second, distance = pairs(atoms, RANGE_ANGSTROM)
    other = (site[first] >= 0) & (site[second] >= 0) & (site[first] != site[second])
    first, second, distance = site[first[other]], site[second[other]], distance[other]
    coupling = np.zeros((n, n))
    if len(distance) == 0:
        return coupling
    nearest = [np.sort(distance[first == k])[:CLOSEST].mean() for k in np.unique(first)]
    ratio = distance / float(np.median(nearest))
    weight = 1.0 / (1.0 + np.exp((ratio - SHELL) / SOFTNESS)) - PARALLEL_BEYOND
    weight[ratio > REACH] = 0.0
    np.add.at(coupling, (first, second), weight)
    return coupling


def _bridged(atoms: Atoms, magnetic: np.ndarray, site: np.ndarray, n: int) -> np.ndarray:
    """Coupling of sites (n, n) through anions: the squared cosine of the angle at the anion, summed over bridges."""
    coupling = np.zeros((n, n))
    nonmetal = np.isin(atoms.numbers, list(NONMETALS))
    metal = magnetic & ~nonmetal
    if not (nonmetal & ~magnetic).any() or not metal.any():
        return coupling
    radii = covalent_radii[atoms.numbers]
    first, second, vector = _bonds(atoms, BOND * float(radii[metal].max() + radii[nonmetal].max()))
    distance = np.linalg.norm(vector, axis=1)
    bridge = (nonmetal & ~magnetic)[first] & metal[second] & (distance < BOND * (radii[first] + radii[second]))
    first, second, unit = first[bridge], second[bridge], (vector / distance[:, None])[bridge]
    for anion in np.unique(first):
        at = np.flatnonzero(first == anion)
        cosine = unit[at] @ unit[at].T
        weight = np.where(cosine < BRIDGE_COSINE, cosine**2, 0.0)
        ends = site[second[at]]
        np.add.at(coupling, (ends[:, None], ends[None, :]), weight)
    np.fill_diagonal(coupling, 0.0)
    return coupling


def _bonds(atoms: Atoms, cutoff_angstrom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both atoms' indices and the vectors (A) from the first to the second, of all pairs, each twice."""
    first, second, vector = neighbour_list("ijD", atoms, cutoff=cutoff_angstrom)
    return first, second, vector
