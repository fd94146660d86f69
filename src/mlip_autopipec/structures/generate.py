"""The starting structures of an elemental crystal: volumes, the six strains, rattles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell

from mlip_autopipec.config.full import Structures
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ISOLATED_ATOM, closest_contact, new_frame, unique
from mlip_autopipec.seeds import generator
from mlip_autopipec.structures.perturb import VOIGT, rattle, scale_volume, strain


def crystal(symbol: str, settings: Structures) -> Atoms:
    """The perfect supercell: the conventional (orthogonal) cell of the lattice, repeated."""
    a = settings.lattice_constant_angstrom
    if settings.lattice == "hcp":
        cell = bulk(symbol, "hcp", a=a, c=a * settings.c_over_a, orthorhombic=True)
    elif settings.lattice == "sc":
        cell = bulk(symbol, "sc", a=a)
    else:
        cell = bulk(symbol, settings.lattice, a=a, cubic=True)
    supercell: Atoms = make_supercell(cell, np.diag(settings.repeat))
    return supercell


def generate(symbol: str, settings: Structures, seed: int) -> list[Atoms]:
    """Strained and rattled cells with identity and lineage, all physical and no two alike.

    Args:
        symbol: the element.
        settings: the config's section `structures`.
        seed: the run's seed.

    Raises:
        DataError: not a single cell is physical (distances too short).
    """
    perfect = crystal(symbol, settings)
    frames = unique([f for f in _all(perfect, settings, seed) if _physical(f, settings)])
    if not frames:
        ratio, distance = closest_contact(perfect)
        raise DataError(
            f"no starting structure is physical: the nearest atoms of {symbol} in {settings.lattice} are "
            f"{distance:.2f} A apart, {ratio:.2f} of the sum of covalent radii. "
            "Write a larger structures.lattice_constant_angstrom."
        )
    return frames


def isolated_atoms(symbols: list[str], box_angstrom: float) -> list[Atoms]:
    """One atom of each element in a cubic box, named by its symbol.

    The atom sits off the centre of symmetry, so that no symmetry of the box holds a wrong state in place.
    """
    frames = []
    for symbol in symbols:
        atom = Atoms(symbol, positions=[[0.01, 0.02, 0.03]], cell=[box_angstrom] * 3, pbc=True)
        frames.append(
            new_frame(atom, origin=f"isolated atom, box {box_angstrom} A", config_type=ISOLATED_ATOM, name=symbol)
        )
    return frames


def volume_series(symbol: str, settings: Structures, points: int, volume_strain_max: float) -> list[Atoms]:
    """The perfect crystal at evenly spaced volumes, named v0, v1, ...; `volume_change` says which one each is."""
    perfect = crystal(symbol, settings)
    changes = np.linspace(-volume_strain_max, volume_strain_max, points)
    return [
        new_frame(
            scale_volume(perfect, change),
            origin=f"equation of state, volume {change:+.4f}",
            config_type="eos",
            name=f"v{k}",
            volume_change=float(change),
        )
        for k, change in enumerate(changes)
    ]


def _physical(frame: Atoms, settings: Structures) -> bool:
    return closest_contact(frame)[0] >= settings.minimum_distance_fraction


def _all(perfect: Atoms, settings: Structures, seed: int) -> Iterator[Atoms]:
    root = new_frame(perfect, origin=f"crystal {settings.lattice}", config_type="crystal")
    parent = root.info["uid"]
    yield root
    limit = settings.volume_strain_max
    for change in np.linspace(-limit, limit, settings.volume_points):
        yield new_frame(
            scale_volume(perfect, change), origin=f"volume {change:+.4f}", config_type="volume", parent=parent
        )
    for component, name in enumerate(VOIGT):
        for amplitude in _amplitudes(settings.shear_strain_max, settings.shear_points):
            voigt = np.zeros(6)
            voigt[component] = amplitude
            yield new_frame(
                strain(perfect, voigt), origin=f"strain {name} {amplitude:+.4f}", config_type="strain", parent=parent
            )
    random = generator(seed, "rattle")
    for amplitude in settings.rattle_amplitudes_angstrom:
        for number in range(settings.rattles_per_amplitude):
            change = random.uniform(-limit, limit)
            shear = random.uniform(-settings.shear_strain_max, settings.shear_strain_max, size=6) / 2
            moved = rattle(strain(scale_volume(perfect, change), shear), amplitude, random)
            origin = f"rattle {amplitude:.3f} A, volume {change:+.4f}, number {number}"
            yield new_frame(moved, origin=origin, config_type="rattle", parent=parent)


def _amplitudes(largest: float, number: int) -> list[float]:
    """`number` strains of alternating sign up to the largest, never zero."""
    return [largest * (k + 1) / number * (-1) ** k for k in range(number)]
