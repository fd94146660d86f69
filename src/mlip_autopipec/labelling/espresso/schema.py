"""pw.x's data-file-schema.xml: a second witness beside the text, and the only one of the bands' occupations."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import numpy as np
from ase.units import Bohr, Hartree, Ry

from mlip_autopipec.labelling.espresso.fields import PwText, symbol_of

STRUCTURE_TOLERANCE_ANGSTROM = 1e-3  # the text has 6 decimals of the axes, 7 of the positions, in units of alat
ENERGY_TOLERANCE_EV = 1e-7 * Ry  # the text has 8 decimals in Ry
FORCE_TOLERANCE = 1e-6  # eV/A; the text has 8 decimals in Ry/bohr
STRESS_TOLERANCE = 2e-8 * Ry / Bohr**3  # eV/A^3; the text has 8 decimals in Ry/bohr^3
MOMENT_TOLERANCE = 0.006  # Bohr magnetons; the text has 2 decimals


@dataclass
class PwXml:
    """What the XML says (Hartree atomic units there, eV and A here); absent is None."""

    energy_ev: float | None = None
    forces: np.ndarray | None = None  # N x 3, eV/A
    stress: np.ndarray | None = None  # 6, eV/A^3, ASE's sign and order
    converged: bool | None = None
    natoms: int | None = None
    symbols: list[str] | None = None
    positions: np.ndarray | None = None  # N x 3, A
    cell: np.ndarray | None = None  # 3 x 3, A
    total_magnetization: float | None = None  # Bohr magnetons per cell, collinear runs only
    absolute_magnetization: float | None = None
    occupations: str | None = None
    last_band_occupation: float | None = None  # largest over k-points and spins, 1 = full


def read_xml(path: str | os.PathLike[str]) -> PwXml | None:
    """Read the XML of one run; None when it is missing, not whole or not pw.x's."""
    try:
        output = ElementTree.parse(path).getroot().find("output")
    except (OSError, ElementTree.ParseError, ValueError):
        return None
    if output is None:
        return None
    found = PwXml()
    try:
        if energy := output.findtext("total_energy/etot"):
            found.energy_ev = float(energy) * Hartree
        if forces := output.findtext("forces"):
            found.forces = np.array(forces.split(), dtype=float).reshape(-1, 3) * Hartree / Bohr
        if stress := output.findtext("stress"):
            sigma = np.array(stress.split(), dtype=float).reshape(3, 3)
            found.stress = -sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * Hartree / Bohr**3
        if flag := output.findtext("convergence_info/scf_conv/convergence_achieved"):
            found.converged = flag.strip() == "true"
        _read_structure(output, found)
        if (output.findtext("magnetization/lsda") or "").strip() == "true":
            found.total_magnetization = float(output.findtext("magnetization/total") or "nan")
            found.absolute_magnetization = float(output.findtext("magnetization/absolute") or "nan")
        bands = output.find("band_structure")
        if bands is not None:
            found.occupations = (bands.findtext("occupations_kind") or "").strip() or None
            found.last_band_occupation = _last_band(bands)
    except ValueError:
        return None
    return found


def other_run(text: PwText, xml: PwXml) -> str | None:
    """How the structure in an XML differs from the one in the text, or None: then both are of one run.

    Of relaxations and dynamics only the species are compared: the XML may hold a step more than the text.
    """
    if xml.natoms is not None and text.natoms is not None and xml.natoms != text.natoms:
        return f"{xml.natoms} atoms, not {text.natoms}"
    if xml.symbols and text.symbols and xml.symbols != text.symbols:
        return "other species"
    if text.calculation != "scf" or xml.cell is None or text.cell is None:
        return None
    if np.abs(xml.cell - text.cell).max() > STRUCTURE_TOLERANCE_ANGSTROM:
        return "another cell"
    if xml.positions is not None and text.positions is not None:
        moved = np.abs(xml.positions - text.positions).max()
        return f"an atom differs by {moved:.4f} A" if moved > STRUCTURE_TOLERANCE_ANGSTROM else None
    return None


def disagreements(text: PwText, xml: PwXml) -> list[str]:
    """What the text and the XML of one run say differently."""
    found = []

    def far(one: float | np.ndarray | None, other: float | np.ndarray | None, tolerance: float) -> bool:
        if one is None or other is None:
            return False
        return np.shape(one) != np.shape(other) or not bool(np.abs(np.subtract(one, other)).max() <= tolerance)

    if far(xml.energy_ev, text.energy_ev, ENERGY_TOLERANCE_EV):
        found.append("text and XML give different energies")
    if far(xml.forces, text.forces, FORCE_TOLERANCE) and not text.fixed_coordinates:
        found.append("text and XML give different forces")
    if text.calculation in ("scf", "relax") and far(xml.stress, text.stress, STRESS_TOLERANCE):
        found.append("text and XML give different stresses")
    if far(xml.total_magnetization, text.total_magnetization, MOMENT_TOLERANCE) or far(
        xml.absolute_magnetization, text.absolute_magnetization, MOMENT_TOLERANCE
    ):
        found.append("text and XML give different magnetisations")
    if xml.converged is False:
        found.append("the XML file says that the SCF did not converge")
    return found


def _read_structure(output: ElementTree.Element, found: PwXml) -> None:
    structure = output.find("atomic_structure")
    if structure is None:
        return
    found.natoms = int(structure.get("nat", "0"))
    atoms = list(structure.findall("atomic_positions/atom"))
    axes = [structure.findtext(f"cell/a{i}") or "" for i in (1, 2, 3)]
    if len(atoms) != found.natoms or not all(axes):
        return
    found.symbols = [symbol_of(atom.get("name", "").strip()) for atom in atoms]
    found.positions = np.array([(atom.text or "").split() for atom in atoms], dtype=float).reshape(-1, 3) * Bohr
    found.cell = np.array([axis.split() for axis in axes], dtype=float).reshape(3, 3) * Bohr


def _last_band(bands: ElementTree.Element) -> float | None:
    spins = 2 if (bands.findtext("lsda") or "").strip() == "true" else 1
    largest = None
    for kpoint in bands.iter("ks_energies"):
        occupations = [float(word) for word in (kpoint.findtext("occupations") or "").split()]
        if occupations and len(occupations) % spins == 0:
            half = len(occupations) // spins
            top = max(occupations[half - 1 :: half])
            largest = top if largest is None else max(largest, top)
    return largest
