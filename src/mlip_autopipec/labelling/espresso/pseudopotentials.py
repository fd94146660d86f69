"""Pseudopotential files: what their headers say, where they are, and whether they are the SSSP ones.

Only the standard library is used here, because the configuration is expanded with it in every dry run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from mlip_autopipec.errors import ConfigurationFault, InputFileError
from mlip_autopipec.labelling.espresso.sssp import Library, sssp_entry

_SUFFIXES = (".upf",)
_HEADER_BYTES = 400_000  # generation inputs and GIPAW notes may come first; headers end far below this

# Quantum ESPRESSO's short names (manual of pw.x, input_dft; Modules/funct.f90) to the name people use.
_FUNCTIONALS = {
    ("SLA", "PW", "PBX", "PBC"): "PBE",
    ("SLA", "PW", "PBE", "PBE"): "PBE",
    ("SLA", "PW", "PSX", "PSC"): "PBESOL",
    ("SLA", "PZ", "NOGX", "NOGC"): "PZ",
    ("SLA", "PW", "NOGX", "NOGC"): "PW-LDA",
    ("B88", "LYP", "BLYP"): "BLYP",
    ("SLA", "LYP", "B88", "BLYP"): "BLYP",
    ("SLA", "PW", "GGX", "GGC"): "PW91",
    ("SLA", "PW", "RPB", "PBC"): "REVPBE",
}


@dataclass(frozen=True)
class Pseudopotential:
    """What the header of a UPF file says.

    Attributes:
        functional: name of the exchange-correlation functional ("PBE", "PZ", ...), the header's words if unknown.
        kind: "NC" (norm-conserving), "US" (ultrasoft), "PAW" or "1/r" (bare Coulomb).
        z_valence: number of valence electrons.
        ecutwfc_ry, ecutrho_ry: cutoffs suggested by the header in Ry, None where it suggests none.
    """

    path: Path
    element: str
    functional: str
    kind: str
    z_valence: float
    relativistic: str
    ecutwfc_ry: float | None
    ecutrho_ry: float | None

    @property
    def md5(self) -> str:
        """MD5 of the whole file, as pw.x prints it and as SSSP's tables list it."""
        stat = self.path.stat()
        return _md5(self.path, stat.st_mtime_ns, stat.st_size)


@cache
def _md5(path: Path, mtime_ns: int, size: int) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def functional_name(words: str) -> str:
    """Usual name of a functional given by Quantum ESPRESSO's words, e.g. 'SLA PW PBX PBC' or 'PBE'."""
    parts = tuple(words.upper().replace("+", " ").replace("-", " ").split())
    return _FUNCTIONALS.get(parts) or _FUNCTIONALS.get(parts[:4]) or " ".join(words.upper().split())


def read_header(path: str | Path) -> Pseudopotential:
    """Read the header of a UPF file of version 1 or 2.

    Raises:
        InputFileError: the file is missing, or is not a UPF file with a readable header.
    """
    path = Path(path)
    try:
        with open(path, "rb") as handle:
            text = handle.read(_HEADER_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise InputFileError(path, f"not readable ({error.strerror})", "Give the path of a UPF file.") from None
    mend = "Give a pseudopotential in UPF format (version 1 or 2)."
    if match := re.search(r"<PP_HEADER\s+([^>]*?)/?>", text, re.S):
        fields = dict(re.findall(r'([\w.]+)\s*=\s*"([^"]*)"', match[1]))
        raw = {name: fields.get(name, "").strip() for name in ("element", "functional", "pseudo_type", "relativistic")}
        numbers = [fields.get(name, "0") for name in ("z_valence", "wfc_cutoff", "rho_cutoff")]
    elif match := re.search(r"<PP_HEADER>\s*\n(.*?)</PP_HEADER>", text, re.S):
        lines = match[1].splitlines()
        if len(lines) < 8:
            raise InputFileError(path, "its PP_HEADER is too short", mend)
        relativistic = "full" if re.search(r"Fully?-Relativistic", text, re.I) else "scalar"
        raw = {
            "element": lines[1].split()[0],
            "pseudo_type": lines[2].split()[0],
            "functional": " ".join(lines[4].split()[:4]),
            "relativistic": relativistic,
        }
        numbers = [lines[5].split()[0], *lines[7].split()[:2]]
    else:
        raise InputFileError(path, "has no PP_HEADER", mend)
    try:
        z_valence, ecutwfc, ecutrho = (float(n.replace("d", "e").replace("D", "e")) for n in numbers)
    except ValueError:
        raise InputFileError(path, f"numbers of its header cannot be read ({', '.join(numbers)})", mend) from None
    if not raw["element"] or z_valence <= 0:
        raise InputFileError(path, "its header names no element or no valence electrons", mend)
    found = Pseudopotential(
        path=path,
        element=raw["element"].capitalize(),
        functional=functional_name(raw["functional"]),
        kind={"USPP": "US", "SL": "NC"}.get(raw["pseudo_type"].upper(), raw["pseudo_type"].upper()),
        z_valence=z_valence,
        relativistic=raw["relativistic"].lower(),
        ecutwfc_ry=ecutwfc if ecutwfc > 0 else None,
        ecutrho_ry=ecutrho if ecutrho > 0 else None,
    )
    if found.functional not in _FUNCTIONALS.values() and sssp_status(found) == "verified":
        return replace(found, functional="PBE")  # whatever words its header has for it
    return found


def sssp_status(pseudopotential: Pseudopotential) -> Literal["verified", "differs", "other"]:
    """Whether a file is one of SSSP's: its md5 agrees with a library's, only its name does, or it is another file."""
    found = sssp_entry(pseudopotential.element, pseudopotential.path.name)
    if found is None:
        return "other"
    return "verified" if found[1]["md5"] == pseudopotential.md5 else "differs"


def suggested_cutoffs_ry(
    pseudopotential: Pseudopotential, library: Library = "efficiency"
) -> tuple[float, float] | None:
    """Cutoffs (wavefunctions, density) in Ry: SSSP's for a verified SSSP file, else the header's, else None.

    A file that both libraries have is to be used with the cutoffs of `library`.
    """
    found = sssp_entry(pseudopotential.element, pseudopotential.path.name, library)
    if found is not None and sssp_status(pseudopotential) == "verified":
        return float(found[1]["cutoff_wfc"]), float(found[1]["cutoff_rho"])
    if pseudopotential.ecutwfc_ry is None:
        return None
    dual = 4.0 if pseudopotential.kind == "NC" else 8.0
    return pseudopotential.ecutwfc_ry, pseudopotential.ecutrho_ry or dual * pseudopotential.ecutwfc_ry


def find_pseudopotential(
    element: str,
    directories: Sequence[str | Path],
    filename: str | None = None,
    *,
    functional: str | None = None,
    library: Library = "efficiency",
) -> Pseudopotential:
    """The pseudopotential of an element: the named file, else the best one in the first folder that has any.

    Best is: the one of SSSP's `library`, verified, or of its other one, else not fully relativistic and not a bare
    Coulomb potential, with suggested cutoffs, and by name. An absolute `filename` is taken as it is.

    Args:
        element: chemical symbol.
        directories: folders in the order in which they are searched.
        filename: name (or absolute path) of the file; None to choose one.
        functional: with None as `filename`, only files of this functional ("PBE", "PZ", ...) are considered.

    Raises:
        ConfigurationFault: there is no such file, or it is for another element, or its md5 is not SSSP's, or its
            number of valence electrons cannot be.
    """
    places = ", ".join(str(d) for d in directories) or "no folder"
    if filename is not None:
        path = next((p for d in directories if (p := Path(d) / filename).is_file()), Path(filename))
        if not path.is_file():
            raise ConfigurationFault(
                f"Pseudopotential file '{filename}' for {element} not found in {places}",
                f"Put it there, or set labelling.pseudo_dir or labelling.pseudopotentials.{element}",
            )
        found = read_header(path)
        if found.element != element:
            raise ConfigurationFault(
                f"Pseudopotential file '{path}' is for {found.element}, not for {element}",
                f"Name a file for {element} in labelling.pseudopotentials.{element}",
            )
        if problem := wrong_valence(found):
            raise ConfigurationFault(
                f"Pseudopotential file '{path}' cannot be used: {problem}",
                f"Name another file in labelling.pseudopotentials.{element}",
            )
        if sssp_status(found) == "differs":
            raise ConfigurationFault(
                f"Pseudopotential file '{path}' has an SSSP name but other contents (md5 {found.md5})",
                "Download it again from the SSSP archive, or rename it if it is meant to be another one",
            )
        return found
    for directory in directories:
        candidates = [
            p for p in _readable(_upf_files(Path(directory), element), element) if functional in (None, p.functional)
        ]
        if candidates:
            return min(candidates, key=lambda p: _rank(p, library))
    wanted = f" with functional {functional}" if functional else ""
    raise ConfigurationFault(
        f"No pseudopotential file for {element}{wanted} found in {places}",
        f"Put a UPF file there, or set labelling.pseudo_dir or labelling.pseudopotentials.{element}",
    )


def complete_first(folders: Sequence[str | Path], names: Iterable[str]) -> list[str | Path]:
    """The folders in their order, but those that have files of all these names first: pw.x reads from one folder."""
    names = list(names)
    return sorted(folders, key=lambda folder: not all((Path(folder) / name).is_file() for name in names))


def wrong_valence(pseudopotential: Pseudopotential) -> str | None:
    """What is wrong with a file's number of valence electrons, None where nothing is.

    It is a whole number, at most the atomic number, and the one that the names of SSSP's newer files say (z_16). Files
    of virtual crystals (fractions of two elements) have other numbers: cells with them have no integer composition.
    """
    from ase.data import atomic_numbers  # not at import time, see above

    electrons, protons = pseudopotential.z_valence, atomic_numbers.get(pseudopotential.element, 0)
    told = f"its header says {electrons:g} valence electrons"
    if abs(electrons - round(electrons)) > 1e-4:
        return f"{told}, not a whole number"
    if electrons > protons + 1e-4:
        return f"{told}, more than {pseudopotential.element} has electrons ({protons})"
    named = re.search(r"\.z_(\d+)\.", pseudopotential.path.name)
    if named and int(named[1]) != round(electrons):
        return f"{told}, its name {named[1]}"
    return None


def check_consistent(pseudopotentials: Iterable[Pseudopotential]) -> None:
    """Refuse a set of pseudopotentials made with different exchange-correlation functionals.

    Raises:
        ConfigurationFault: two functionals are mixed; names the files.
    """
    by_functional: dict[str, Pseudopotential] = {}
    for pseudopotential in pseudopotentials:
        by_functional.setdefault(pseudopotential.functional, pseudopotential)
    if len(by_functional) > 1:
        named = ", ".join(f"{p.path.name} ({name})" for name, p in sorted(by_functional.items()))
        raise ConfigurationFault(
            f"Pseudopotentials of different exchange-correlation functionals are mixed: {named}",
            "Choose files of one functional in labelling.pseudopotentials",
        )


def _upf_files(directory: Path, element: str) -> list[Path]:
    """UPF files whose name begins with the symbol; the header decides later."""
    if not directory.is_dir():
        return []
    starts = re.compile(rf"{element}(?![a-z])", re.I if len(element) > 1 else 0)
    lower = element.lower()
    return sorted(
        p
        for p in directory.iterdir()
        if p.suffix.lower() in _SUFFIXES
        and (starts.match(p.name) or re.match(rf"{lower}[._-]", p.name))
        and p.is_file()
    )


def _readable(paths: Iterable[Path], element: str) -> list[Pseudopotential]:
    found = []
    for path in paths:
        try:
            header = read_header(path)
        except InputFileError:
            continue
        if header.element == element and wrong_valence(header) is None:
            found.append(header)
    return found


def _rank(pseudopotential: Pseudopotential, library: Library) -> tuple[bool, bool, bool, bool, bool, str]:
    verified = sssp_status(pseudopotential) == "verified"
    found = sssp_entry(pseudopotential.element, pseudopotential.path.name, library)
    return (
        not (verified and found is not None and found[0] == library),
        not verified,
        pseudopotential.kind not in ("NC", "US", "PAW"),
        pseudopotential.relativistic.startswith("full"),
        pseudopotential.ecutwfc_ry is None,
        pseudopotential.path.name,
    )


if __name__ == "__main__":
    import sys

    from mlip_autopipec.labelling.espresso.listing import main

    sys.exit(main())
