"""The zero of energy of a user's data: isolated atoms, what the user says, or an estimate that is explained."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from mlip_autopipec.config.full import OwnData
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, ISOLATED_ATOM

# Nothing binds more strongly per atom: tungsten by 8.9 eV (Kittel, Introduction to Solid State Physics), 13 eV against
# the spherical, non-magnetic atoms that plane-wave programs take for reference. Total energies lie deeper, but for the
# few electrons of hydrogen-like pseudopotentials.
DEEPEST_BINDING_EV_PER_ATOM = -14.0


def reference_energies(frames: list[Atoms], settings: OwnData) -> tuple[dict[str, float], tuple[str, str], list[str]]:
    """Energy of a free atom in eV for each element, on the scale of the labels.

    In this order: what the user gives, isolated atoms in the data, zero where the energies are already those of
    binding, a least-squares fit of the energies to the composition.

    Returns:
        The energies; the name of the rule and the reason; warnings.

    Raises:
        DataError: isolated atoms of one element disagree, or lie on another scale than the other frames.
    """
    condensed = [frame for frame in frames if frame.info["config_type"] != ISOLATED_ATOM]
    elements = sorted({symbol for frame in condensed for symbol in frame.get_chemical_symbols()})
    table = np.array([[frame.get_chemical_symbols().count(e) for e in elements] for frame in condensed], dtype=float)
    energies = np.array([float(frame.info[ENERGY]) for frame in condensed])
    per_atom = energies / table.sum(axis=1)

    known = _isolated(frames, settings) | {e: v for e, v in settings.reference_energies_ev.items() if e in elements}
    missing = [element for element in elements if element not in known]
    if known and not missing:
        _check_scale(per_atom - table @ np.array([known[e] for e in elements]) / table.sum(axis=1), known, settings)
    if not missing:
        given = [e for e in elements if e in settings.reference_energies_ev]
        why = f"isolated atoms in the data{', given by you for ' + ', '.join(given) if given else ''}"
        return {e: known[e] for e in elements}, ("energies_of_isolated_atoms", why), []
    if not known and DEEPEST_BINDING_EV_PER_ATOM < float(np.median(per_atom)) < 0:
        why = (
            f"no isolated atoms in the data, but energies of {per_atom.min():.3g} to {per_atom.max():.3g} eV/atom are "
            "those of binding, so zero is the free atom"
        )
        return dict.fromkeys(elements, 0.0), ("energies_are_already_relative_to_free_atoms", why), []
    columns = [elements.index(element) for element in missing]
    rest = energies - table @ np.array([known.get(e, 0.0) for e in elements])
    weights = 1 / table.sum(axis=1)  # every atom counts alike in the errors that people quote: per atom
    fitted = np.linalg.lstsq(weights[:, None] * table[:, columns], weights * rest, rcond=None)[0]
    known |= {element: float(value) for element, value in zip(missing, fitted, strict=True)}
    how = "the mean energy per atom" if len(elements) == 1 else "a least-squares fit of the energies to the composition"
    warning = (
        f"No energy of an isolated {' or '.join(missing)} atom in the data: {how} stands for it "
        f"({', '.join(f'{e} {known[e]:.3f} eV' for e in missing)}), so cohesive energies and dissociation mean "
        "nothing. Give training.reference_energies_ev, or add single atoms to the data."
    )
    return {e: known[e] for e in elements}, ("references_from_the_composition", f"no isolated atoms: {how}"), [warning]


def _isolated(frames: list[Atoms], settings: OwnData) -> dict[str, float]:
    found: dict[str, Atoms] = {}
    for frame in frames:
        if frame.info["config_type"] != ISOLATED_ATOM:
            continue
        symbol = frame.get_chemical_symbols()[0]
        before = found.setdefault(symbol, frame)
        difference = abs(frame.info[ENERGY] - before.info[ENERGY])
        if difference > 1e-3 and symbol not in settings.reference_energies_ev:
            raise DataError(
                f"two isolated {symbol} atoms have energies that differ by {difference:.4g} eV "
                f"({before.info['origin']}, {frame.info['origin']}). Remove one, or write "
                f"training.reference_energies_ev: {{{symbol}: ...}}"
            )
    return {symbol: float(frame.info[ENERGY]) for symbol, frame in found.items()}


def _check_scale(binding_ev_per_atom: np.ndarray, known: dict[str, float], settings: OwnData) -> None:
    middle = float(np.median(binding_ev_per_atom))
    if settings.check_consistency and not DEEPEST_BINDING_EV_PER_ATOM - 6 < middle < 5:
        atoms = ", ".join(f"{element} {value:.6g} eV" for element, value in known.items())
        raise DataError(
            f"the energies of the frames and of the isolated atoms ({atoms}) are on two references: the frames "
            f"would be bound by {-middle:.4g} eV/atom. Mend them or training.reference_energies_ev; if they are right "
            "as they are, write training.check_consistency: false"
        )
