"""Do energies, forces and stresses of a dataset speak of one potential energy surface, in one set of units?

Forces do not know the zero of energy. A small ACE is fitted to the forces alone; its energies must then agree with the
labelled ones up to a constant per element, and its stresses with the labelled ones. That finds energies on two
references, other units, wrong signs and energies per atom, and costs about a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from mlip_autopipec.ace import Basis, BasisSpec, Factor, build_basis, design_rows, project
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, FORCES, STRESS
from mlip_autopipec.seeds import generator
from mlip_autopipec.training.dataset_checks import Checked

DEGREES = (12, 8)
SAMPLE_ATOMS = 6000
MINIMUM_FRAMES = 20  # per element; below that, a gap among few energies is an accident too often

# Forces of crystals tell little of how the energy changes with volume and order: the directions of the predicted
# energies and stresses that are less certain than this, and three for each element in any case, are taken out before
# anything is compared. Without them the slope is 0.92 to 1.06 with correlations of 0.95 and more for silicon and
# lithium (mlearn, together and apart, also a ninth of them), strained toy crystals and a CuAu alloy; with them it is
# anything.
OPEN_EV_PER_ATOM, OPEN_EV_PER_ANGSTROM3 = 1e-3, 1e-4
OPEN_DIRECTIONS = 3
CLEAR_CORRELATION = 0.9
SLOPES = (0.65, 1.55)

# Largest part of the data that is refused for being on another reference; with more, nobody knows which one is right.
MINORITY = 0.2
# Shifts of 0.2 (silicon, a tenth of the frames shifted; lithium) to 0.3 eV/atom (silicon, half of them) are found.
GAP_EV_PER_ATOM = 0.15
GAP_OVER_WIDTH = 5.0  # of the rms width of the two groups
EXPLAINED = 0.25  # of the squares that a shift makes must be beyond what composition and open directions explain
GAP_OVER_RANGE = 0.5  # of the range of the energies that the forces explain

# Slope of labelled over predicted energies per atom, and what makes it.
ENERGY_SLOPES = {
    "the forces have the opposite sign (gradients?)": -1.0,
    "the energies are in Hartree, the forces in eV/A": 1 / 27.211386,
    "the energies are in Rydberg, the forces in eV/A": 1 / 13.605693,
    "the energies are in kcal/mol, the forces in eV/A": 23.060548,
    "the energies are in kJ/mol, the forces in eV/A": 96.485332,
    "the forces are in Hartree/bohr, the energies in eV": 51.422067,
    "the forces are in Rydberg/bohr, the energies in eV": 25.711034,
    "energies and forces are in Hartree and Hartree/bohr (or Rydberg and Rydberg/bohr)": 1.889726,
}
STRESS_SLOPES = {
    "they have the opposite sign (ASE's stress is minus the pressure on the diagonal)": -1.0,
    "they are in GPa": 160.21766,
    "they are in GPa with the opposite sign": -160.21766,
    "they are in kbar": 1602.1766,
    "they are in kbar with the opposite sign": -1602.1766,
}


@dataclass(frozen=True)
class Fit:
    """What a fit to the forces says of n frames, and what it cannot say.

    Attributes:
        energies_ev_per_atom: (n,) predicted, up to a constant per element.
        unknown: (n, m) directions of the energies that the forces leave open, columns for `_without`.
        sampled: places of the frames whose forces were fitted, with stress.
        stresses: (6 k,) predicted for these, eV/A^3.
        unknown_stresses: (6 k, m).
    """

    energies_ev_per_atom: np.ndarray
    unknown: np.ndarray
    sampled: list[int]
    stresses: np.ndarray
    unknown_stresses: np.ndarray


def check_consistency(frames: list[Checked], cutoff_angstrom: float, seed: int) -> tuple[dict[str, object], list[str]]:
    """Refuse frames that lie on another reference; stop at what concerns all frames.

    Args:
        frames: frames, no isolated atoms among them; those that have been refused are passed over.

    Returns:
        A record of what was found, and sentences for the user.

    Raises:
        DataError: units or signs are wrong, or so many frames lie on another reference that nobody can tell which one
            is meant.
    """
    good = [one for one in frames if not one.outcome]
    atoms = [one.frame for one in good if one.frame is not None]
    needed = MINIMUM_FRAMES * len({symbol for frame in atoms for symbol in frame.get_chemical_symbols()})
    if len(good) < needed:
        return {"checked": False, "reason": f"fewer than {needed} frames"}, []
    fit = _fit_to_forces(atoms, cutoff_angstrom, seed)
    energies = np.array([float(frame.info[ENERGY]) / len(frame) for frame in atoms])
    nuisance = np.column_stack([_fractions(atoms), fit.unknown])
    if 3 * nuisance.shape[1] > len(atoms):
        return {"checked": False, "reason": "the forces leave too much of the energies open"}, []
    record: dict[str, object] = {"checked": True}
    _check_energies(atoms, energies, fit, nuisance, record)
    _check_stresses(atoms, fit, record)
    return record, _refuse_other_references(good, energies, fit, nuisance, record)


def _fit_to_forces(atoms: list[Atoms], cutoff_angstrom: float, seed: int) -> Fit:
    elements = tuple(sorted({symbol for frame in atoms for symbol in frame.get_chemical_symbols()}))
    basis = build_basis(BasisSpec(elements, cutoff_angstrom, DEGREES))
    factor, used = Factor(basis.number_of_functions), 0
    sampled: list[int] = []
    strains: list[np.ndarray] = []
    for k in generator(seed, "consistency").permutation(len(atoms)):
        if used and used + len(atoms[k]) > SAMPLE_ATOMS:
            continue
        used += len(atoms[k])
        rows = design_rows(basis, atoms[k])
        factor.append(rows.forces, atoms[k].arrays[FORCES].ravel())
        if STRESS in atoms[k].info:
            sampled.append(int(k))
            strains.append(rows.strain / atoms[k].get_volume())
    solution = factor.solve(basis.smoothness)
    per_atom = np.array([_energy_row(basis, frame) / len(frame) for frame in atoms])
    stress = np.concatenate(strains) if strains else np.zeros((0, basis.number_of_functions))
    least = OPEN_DIRECTIONS * len(elements)
    return Fit(
        per_atom @ solution.coefficients,
        _open_directions(_without(per_atom @ solution.posterior_factor, _fractions(atoms)), least, OPEN_EV_PER_ATOM),
        sampled,
        stress @ solution.coefficients,
        _open_directions(stress @ solution.posterior_factor, least, OPEN_EV_PER_ANGSTROM3),
    )


def _energy_row(basis: Basis, frame: Atoms) -> np.ndarray:
    row = np.zeros(basis.number_of_functions)
    for mu, (_, values) in enumerate(project(basis, frame)):
        row[basis.columns(mu)] = values.sum(axis=0)
    return row


def _open_directions(spread: np.ndarray, least: int, tolerance: float) -> np.ndarray:
    """The directions in which predictions (rows) are less certain than `tolerance`, at least so many.

    Args:
        spread: `spread` @ `spread`.T is the covariance of the predictions.
    """
    if not len(spread):
        return np.zeros((0, 0))
    left, singular, _ = np.linalg.svd(spread, full_matrices=False)
    number = max(least, int((singular > tolerance * np.sqrt(len(spread))).sum()))
    return np.asarray(left[:, :number])


def _fractions(atoms: list[Atoms]) -> np.ndarray:
    """Part of each element in each frame, (frames, elements); columns that say nothing new are left out."""
    symbols = [frame.get_chemical_symbols() for frame in atoms]
    elements = sorted({s for these in symbols for s in these})
    table = np.array([[these.count(e) / len(these) for e in elements] for these in symbols])
    kept: list[int] = []
    for column in range(table.shape[1]):
        if np.linalg.matrix_rank(table[:, [*kept, column]], tol=1e-6) > len(kept):
            kept.append(column)
    return table[:, kept]


def _without(values: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    return np.asarray(values - nuisance @ np.linalg.lstsq(nuisance, values, rcond=None)[0])


def _slope(values: np.ndarray, expected: np.ndarray, nuisance: np.ndarray) -> tuple[float, float]:
    """Slope and correlation of values over expected ones, after the columns of `nuisance` are taken out of both."""
    left, right = _without(values, nuisance), _without(expected, nuisance)
    power = float(right @ right)
    if power < 1e-12 * len(right) or float(left @ left) < 1e-24:
        return 1.0, 0.0
    return float(left @ right) / power, float(left @ right) / float(np.sqrt((left @ left) * power))


def _check_energies(
    atoms: list[Atoms], energies: np.ndarray, fit: Fit, nuisance: np.ndarray, record: dict[str, object]
) -> None:
    slope, correlation = _slope(energies, fit.energies_ev_per_atom, nuisance)
    record |= {"energy_slope": slope, "energy_correlation": correlation}
    counts = np.array([len(frame) for frame in atoms])
    if counts.max() > 1.2 * counts.min() and abs(correlation) < 0.8:
        _, of_totals = _slope(energies * counts, fit.energies_ev_per_atom, nuisance)
        if of_totals > 0.9:
            raise DataError(_consistency_message("the energies are per atom, and total energies are needed"))
    if abs(correlation) > CLEAR_CORRELATION and not SLOPES[0] < slope < SLOPES[1]:
        middle = int(np.median(counts))
        causes = ENERGY_SLOPES | {f"the energies are per atom (of {middle} atoms)": 1 / middle}
        raise DataError(
            _consistency_message(
                f"differences of the energies are {slope:.3g} times what the forces say{_likely(slope, causes)}"
            )
        )


def _check_stresses(atoms: list[Atoms], fit: Fit, record: dict[str, object]) -> None:
    if len(fit.sampled) < MINIMUM_FRAMES // 2:
        return
    labels = np.concatenate([np.asarray(atoms[k].info[STRESS], dtype=float) for k in fit.sampled])
    # An offset of the pressure is nothing to wonder about: Pulay stress.
    pressure = np.tile([1.0, 1.0, 1.0, 0.0, 0.0, 0.0], len(fit.sampled))
    slope, correlation = _slope(labels, fit.stresses, np.column_stack([pressure, fit.unknown_stresses]))
    record |= {"stress_slope": slope, "stress_correlation": correlation}
    if abs(correlation) > CLEAR_CORRELATION and not SLOPES[0] < slope < SLOPES[1]:
        raise DataError(
            _consistency_message(
                f"the stresses are {slope:.3g} times what the forces say{_likely(slope, STRESS_SLOPES)}. eV/A^3 in "
                "ASE's sign are needed; training.stress_key: none (or virial_key) leaves them out"
            )
        )


def _likely(slope: float, causes: dict[str, float]) -> str:
    cause = min(causes, key=lambda one: abs(np.log(slope / causes[one])) if slope / causes[one] > 0 else np.inf)
    ratio = slope / causes[cause]
    return f"; most likely {cause}" if 0.6 < ratio < 1.7 else ""


def _consistency_message(problem: str) -> str:
    return (
        f"the labels do not fit together: {problem}. Convert the data to eV, A, eV/A; "
        "if they are right as they are, write training.check_consistency: false"
    )


def _refuse_other_references(
    frames: list[Checked], energies: np.ndarray, fit: Fit, nuisance: np.ndarray, record: dict[str, object]
) -> list[str]:
    low, high = np.percentile(_without(fit.energies_ev_per_atom, nuisance), (2.5, 97.5))
    residual = energies - fit.energies_ev_per_atom
    fractions = nuisance[:, : nuisance.shape[1] - fit.unknown.shape[1]]
    kept = np.arange(len(frames))
    said: list[str] = []
    while len(kept) >= MINIMUM_FRAMES:  # groups are taken off one after the other
        second, gap, width, shift = _two_groups(residual[kept], nuisance[kept], fractions[kept])
        record |= {"largest_gap_ev_per_atom": gap, "width_ev_per_atom": width}
        if gap < max(GAP_EV_PER_ATOM, GAP_OVER_WIDTH * width, GAP_OVER_RANGE * float(high - low)):
            break
        few, many = [frames[k] for k in kept[second]], [frames[k] for k in kept[~second]]
        if len(few) > MINORITY * len(kept):
            raise DataError(
                f"the energies are on two references: {len(few)} frames ({_where(few)}) lie {abs(shift):.3g} eV/atom "
                f"{'above' if shift > 0 else 'below'} {len(many)} others ({_where(many)}), measured against a fit to "
                "the forces. Bring them to one reference, or give one part alone; if they are right as they are, write "
                "training.check_consistency: false"
            )
        for one in few:
            one.refuse(
                "other energy reference", f"its energy is {shift:+.3g} eV/atom off the others, by a fit to the forces"
            )
        said.append(f"{len(few)} frames have energies {shift:+.3g} eV/atom off the others: {_where(few)}")
        kept = kept[~second]
    return said


def _two_groups(
    residual: np.ndarray, nuisance: np.ndarray, fractions: np.ndarray
) -> tuple[np.ndarray, float, float, float]:
    """The split of frames that a second reference would best explain.

    Every frame's residual is the nuisance, and for a second group an energy per element more. Assignment and least
    squares alternate, from many first splits: along what is left when the elements alone are taken out, and along what
    least absolute deviations leave, which find a minority.

    Returns:
        Which frames are in the smaller group (n,), the gap between the groups, their rms width and the shift of the
        smaller group, eV/atom.
    """
    count = len(residual)
    starts: list[np.ndarray] = []
    for left in (_without(residual, fractions), _without_robustly(residual, nuisance)):
        order = np.argsort(left)
        places = {int(np.argmax(np.diff(left[order]))) + 1, 1, count - 1, *np.linspace(0, count, 11).astype(int)[1:-1]}
        starts += [np.isin(np.arange(count), order[place:]) for place in sorted(places)]
    # A second reference that composition and open directions could imitate must not grow against them.
    elements = fractions.shape[1]
    damping = np.column_stack([np.zeros((elements, nuisance.shape[1])), np.sqrt(0.01 * count) * np.eye(elements)])
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for second in starts:
        for _ in range(30):
            table = np.vstack([np.column_stack([nuisance, second[:, None] * fractions]), damping])
            solved = np.linalg.lstsq(table, np.append(residual, np.zeros(len(damping))), rcond=None)[0]
            base = residual - nuisance @ solved[: nuisance.shape[1]]
            offset = fractions @ solved[nuisance.shape[1] :]
            assigned = np.abs(base - offset) < np.abs(base)
            if (assigned == second).all() or assigned.all() or not assigned.any():
                break
            second = assigned
        error = float(((base - second * offset) ** 2).sum())
        if best is None or error < best[0]:
            best = error, second, base
    assert best is not None
    error, second, base = best
    if base[second].mean() < base[~second].mean():
        gap = float(base[~second].min() - base[second].max())
    else:
        gap = float(base[second].min() - base[~second].max())
    small = second if second.sum() <= count / 2 else ~second
    shift = float(base[small].mean() - base[~small].mean())
    # A split that the nuisance could explain as well (by composition, say) is none.
    gained = float((_without(residual, nuisance) ** 2).sum()) - error
    if gained < EXPLAINED * shift**2 * small.sum() * (~small).sum() / count:
        gap = 0.0
    return small, max(gap, 0.0), float(np.sqrt(error / count)), shift


def _without_robustly(values: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Values without the columns of `nuisance`, by least absolute deviations: a minority does not move them."""
    weights = np.ones(len(values))
    for _ in range(50):
        root = np.sqrt(weights)
        fit = np.linalg.lstsq(root[:, None] * nuisance, root * values, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(values - nuisance @ fit), 1e-4)
    return np.asarray(values - nuisance @ fit)


def _where(frames: list[Checked]) -> str:
    """Files, frame numbers and types of some frames, shortly."""
    parts = []
    for file in dict.fromkeys(one.source.file for one in frames):
        numbers = sorted(one.source.number for one in frames if one.source.file == file)
        shown = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
        parts.append(f"{file} frames {shown}")
    return "; ".join(parts[:4]) + ("; ..." if len(parts) > 4 else "")
