"""One pw.x run as all its witnesses tell it: text, XML, CRASH, stderr and exit code. `verdict.judge` decides."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase.units import Bohr, Hartree, Ry

from mlip_autopipec.labelling.espresso.text import PwText, read_text

_ENOUGH_BYTES = 200_000_000  # a text output larger than this is not one


@dataclass
class PwXml:
    """What data-file-schema.xml says (Hartree atomic units there, eV and A here); absent is None."""

    energy_ev: float | None = None
    forces: np.ndarray | None = None  # N x 3, eV/A
    converged: bool | None = None
    natoms: int | None = None
    occupations: str | None = None
    last_band_occupation: float | None = None  # largest over k-points and spins, 1 = full


@dataclass
class PwResult:
    """Everything known about one run. `text` holds the numbers, the rest are the other witnesses."""

    path: Path
    text: PwText
    empty: bool
    exit_code: int | None = None
    stderr: str = ""
    crash: tuple[str, str] | None = None  # routine, message
    xml: PwXml | None = None
    problems: list[str] = field(default_factory=list)  # contradictions between the witnesses


def read_pw_output(
    path: str | os.PathLike[str],
    *,
    exit_code: int | None = None,
    stderr: str | os.PathLike[str] | None = None,
    crash: str | os.PathLike[str] | None = None,
    xml: str | os.PathLike[str] | None = None,
) -> PwResult:
    """Read a pw.x output and the files beside it. Damaged or missing files never raise: the result says so.

    Args:
        path: text output of pw.x (6.x or 7.x).
        exit_code: of the process, where it is known.
        stderr, crash, xml: paths of the error stream, of CRASH and of data-file-schema.xml, where there are any.
    """
    path = Path(path)
    raw = _text(path)
    result = PwResult(
        path=path,
        text=read_text(raw),
        empty=not raw.strip(),
        exit_code=exit_code,
        stderr=_text(stderr) if stderr else "",
        crash=read_crash(crash) if crash else None,
        xml=read_xml(xml) if xml else None,
    )
    if result.xml is not None and result.text.done and result.text.energy_ev is not None:
        result.problems += _disagreements(result.text, result.xml)
    if result.crash and result.text.done:
        result.problems.append("a CRASH file lies beside an output that ended")
    return result


def read_beside(path: str | os.PathLike[str]) -> PwResult:
    """Read an output together with what lies beside it: pw.err, CRASH, run.json, data-file-schema.xml.

    In a folder with several outputs only files with the output's own stem are taken, because the others could
    belong to any of them.
    """
    path = Path(path)
    path = path / "pw.out" if path.is_dir() else path
    folder = path.parent
    alone = len([p for p in folder.glob("*") if p.suffix in (".out", ".pwo")]) <= 1
    patterns = {
        "stderr": [f"{path.stem}.err"],
        "crash": [f"{path.stem}.CRASH"] + ["CRASH"] * alone,
        "xml": [f"{path.stem}.xml"] + ["data-file-schema.xml", "*.save/data-file-schema.xml"] * alone,
        "run": [f"{path.stem}.run.json"] + ["run.json"] * alone,
    }
    found = {name: next((p for g in globs for p in sorted(folder.glob(g))), None) for name, globs in patterns.items()}
    exit_code = None
    if found["run"]:
        try:
            exit_code = int(json.loads(_text(found["run"]))["rc"])
        except (ValueError, KeyError, TypeError):
            exit_code = None
    return read_pw_output(path, exit_code=exit_code, stderr=found["stderr"], crash=found["crash"], xml=found["xml"])


def read_crash(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """Routine and message of the first entry of a CRASH file, or None."""
    match = re.search(r"^\s*from\s+(.*?)\s*: error #\s*\S+\s*\n(.*?)\n\s*%{10,}", _text(path), re.M | re.S)
    return (match[1].strip(), " ".join(match[2].split())) if match else None


def read_xml(path: str | os.PathLike[str]) -> PwXml | None:
    """Energy, forces, convergence and occupations of a data-file-schema.xml; None when it is not whole."""
    try:
        output = ElementTree.parse(path).getroot().find("output")
    except (OSError, ElementTree.ParseError):
        return None
    if output is None:
        return None
    found = PwXml()
    try:
        if energy := output.findtext("total_energy/etot"):
            found.energy_ev = float(energy) * Hartree
        if forces := output.findtext("forces"):
            found.forces = np.array(forces.split(), dtype=float).reshape(-1, 3) * Hartree / Bohr
        if flag := output.findtext("convergence_info/scf_conv/convergence_achieved"):
            found.converged = flag.strip() == "true"
        structure = output.find("atomic_structure")
        found.natoms = int(structure.get("nat", "0")) if structure is not None else None
        bands = output.find("band_structure")
        if bands is not None:
            found.occupations = (bands.findtext("occupations_kind") or "").strip() or None
            found.last_band_occupation = _last_band(bands)
    except ValueError:
        return None
    return found


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


def _disagreements(text: PwText, xml: PwXml) -> list[str]:
    """What text and XML say differently; energies are printed to 1e-8 Ry, forces to 1e-8 Ry/bohr."""
    found = []
    if xml.natoms is not None and text.natoms is not None and xml.natoms != text.natoms:
        return [f"the XML file beside it is of another run ({xml.natoms} atoms, not {text.natoms})"]
    if xml.energy_ev is not None and text.energy_ev is not None and abs(xml.energy_ev - text.energy_ev) > 1e-7 * Ry:
        found.append("text and XML give different energies")
    pair = (xml.forces, text.forces)
    if (
        pair[0] is not None
        and pair[1] is not None
        and (pair[0].shape != pair[1].shape or np.abs(pair[0] - pair[1]).max() > 1e-6)
    ):
        found.append("text and XML give different forces")
    if xml.converged is False:
        found.append("the XML file says that the SCF did not converge")
    return found


def _text(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as handle:
            return handle.read(_ENOUGH_BYTES).decode("utf-8", errors="replace").replace("\r\n", "\n")
    except OSError:
        return ""
