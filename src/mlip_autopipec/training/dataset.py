"""Reads labelled frames of a user's own files and finds out under which names their labels stand.

Energies are total energies in eV, forces in eV/A, stresses in eV/A^3 with ASE's sign, virials in eV (minus stress times
volume, the sign of QUIP and of GAP's training files).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.io import iread

from mlip_autopipec.config.full import OwnData
from mlip_autopipec.errors import DataError, InputFileError

# Names in lower case. What calls itself a reference goes before what does not: `energy` beside `REF_energy` is usually
# what another potential predicted.
NAMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "energy": (
        ("ref_energy", "dft_energy", "energy_ref", "energy_dft", "qm_energy", "target_energy"),
        ("energy", "free_energy", "total_energy", "energy_total", "tot_energy", "etot", "e_tot", "potential_energy",
         "toten"),
    ),
    "forces": (
        ("ref_forces", "ref_force", "dft_forces", "dft_force", "forces_ref", "forces_dft", "force_ref", "qm_forces",
         "target_forces"),
        ("forces", "force"),
    ),
    "stress": (("ref_stress", "dft_stress", "stress_ref", "stress_dft", "target_stress"), ("stress",)),
    "virial": (("ref_virial", "dft_virial", "virial_ref", "virial_dft", "ref_virials"), ("virial", "virials")),
}  # fmt: skip
KINDS = tuple(NAMES)
NONE = "none"


@dataclass
class Source:
    """A frame as its file has it.

    Attributes:
        file, number: where it stands; frames are counted from 0, as ASE does.
        atoms: the structure, or None when it cannot be read.
        values: everything that may be a label, by name.
        problem: why it cannot be read, or ''.
    """

    file: str
    number: int
    atoms: Atoms | None
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def name(self) -> str:
        """File and number, as ASE writes it."""
        return f"{Path(self.file).name}@{self.number}"


def read_sources(path: str) -> list[Source]:
    """All frames of a file: extended XYZ (.xyz, .extxyz), ASE database (.db, .json), or what else ASE reads.

    A frame of an XYZ file that cannot be read does not spoil the others.

    Raises:
        InputFileError: the file is missing, empty, or cannot be read at all.
    """
    file = Path(path)
    if not file.is_file():
        raise InputFileError(path, "no such file", "Mend training.dataset or training.test_dataset.")
    try:
        if file.suffix in (".xyz", ".extxyz"):
            sources = list(_of_xyz(path))
        elif file.suffix in (".db", ".json"):
            sources = list(_of_database(path))
        else:
            sources = [_source(path, k, atoms) for k, atoms in enumerate(iread(path, index=":"))]
    except InputFileError:
        raise
    except Exception as error:  # ASE raises many kinds for a file that is not what its name says
        problem = f"{type(error).__name__}: {error}"
        raise InputFileError(path, f"cannot be read ({problem})", "Give extended XYZ or an ASE database.") from None
    if not sources:
        raise InputFileError(path, "has no frame", "Give a file with labelled frames.")
    return sources


_SIX = re.compile(r'\b(stress|virial|virials)=(["{\[])\s*([^\s",]+(?:[\s,]+[^\s",}\]]+){5})\s*(["}\]])', re.IGNORECASE)


def _nine(found: re.Match[str]) -> str:
    """Six numbers (Voigt xx, yy, zz, yz, xz, xy) as nine: ASE reads nothing else under its own names."""
    xx, yy, zz, yz, xz, xy = re.split(r"[\s,]+", found[3])
    return f'{found[1]}="{xx} {xy} {xz} {xy} {yy} {yz} {xz} {yz} {zz}"'


def _of_xyz(path: str) -> Iterator[Source]:
    with open(path, encoding="utf-8") as handle:
        line_number = 0
        for number in range(10**12):
            count = handle.readline()
            line_number += 1
            if not count.strip():
                if any(line.strip() for line in handle):
                    raise InputFileError(
                        path, f"line {line_number}, where frame {number} must begin with its number of atoms, is empty",
                        "Mend the file.",
                    )  # fmt: skip
                return
            if not count.strip().isdigit():
                raise InputFileError(
                    path,
                    f"line {line_number} must be the number of atoms of frame {number}, not {count.strip()[:30]!r}",
                    "Mend the file there.",
                )  # fmt: skip
            lines = [handle.readline() for _ in range(int(count) + 1)]
            line_number += len(lines)
            if not lines[-1]:
                yield Source(path, number, None, problem="the file ends inside this frame")
                return
            try:
                lines[0] = _SIX.sub(_nine, lines[0])
                atoms = next(iter(iread(io.StringIO(count + "".join(lines)), index=":", format="extxyz")))
            except Exception as error:  # a row of stars, an unknown element, a missing column
                yield Source(path, number, None, problem=f"not readable ({type(error).__name__}: {error})")
                continue
            yield _source(path, number, atoms)


def _of_database(path: str) -> Iterator[Source]:
    with connect(path) as database:
        for number, row in enumerate(database.select()):
            atoms = row.toatoms(add_additional_information=True)
            more = atoms.info.pop("key_value_pairs", {}) | atoms.info.pop("data", {})
            atoms.info |= {key: value for key, value in more.items() if key not in atoms.info}
            yield _source(path, number, atoms)


def _source(path: str, number: int, atoms: Atoms) -> Source:
    values: dict[str, Any] = dict(atoms.info)
    values |= {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    if atoms.calc is not None:
        values |= {k: v for k, v in atoms.calc.results.items() if v is not None}
    return Source(path, number, atoms, values)


def find_keys(sources: list[Source], settings: OwnData) -> tuple[dict[str, str], list[str]]:
    """Under which names the labels of one file stand.

    Returns:
        The name by kind (energy, forces and, where there are any, stress or virial), and sentences on what was decided
        between several.

    Raises:
        DataError: a stated name is in no frame, no name fits, or several fit and disagree.
    """
    readable = [source for source in sources if source.atoms is not None]
    keys: dict[str, str] = {}
    notes: list[str] = []
    for kind in KINDS:
        stated = getattr(settings, f"{kind}_key")
        if stated == NONE and kind in ("stress", "virial"):
            continue
        found = _stated(kind, stated, readable) if stated else _found(kind, readable, notes)
        if found:
            keys[kind] = found
        elif readable and kind in ("energy", "forces"):
            raise DataError(_nothing_fits(kind, readable))
    if "stress" in keys and "virial" in keys:
        _one_of_both(keys, settings, readable, notes)
    return keys, notes


def _stated(kind: str, name: str, sources: list[Source]) -> str:
    if sources and not any(name in source.values for source in sources):
        there = sorted({key for source in sources for key in source.values})
        raise DataError(
            f"training.{kind}_key = {name!r} is in no frame of {sources[0].file}. Names there: "
            f"{', '.join(there) or 'none'}"
        )
    return name


def _found(kind: str, sources: list[Source], notes: list[str]) -> str:
    """The name that fits; reference names go first, equal values do no harm."""
    counts: dict[str, int] = {}
    for source in sources:
        for name in source.values:
            counts[name] = counts.get(name, 0) + 1
    for tier in NAMES[kind]:
        names = sorted((n for n in counts if n.lower().replace("-", "_") in tier), key=lambda n: (-counts[n], n))
        if not names:
            continue
        differing = [name for name in names[1:] if not _agree(names[0], name, sources)]
        if differing:
            if kind == "energy" and {n.lower() for n in (names[0], *differing)} == {"energy", "free_energy"}:
                chosen = next(n for n in names if n.lower() == "free_energy")
                notes.append(f"{chosen} was taken, not energy: the forces are its derivative")
                return chosen
            raise DataError(_ambiguous(kind, [names[0], *differing], counts, sources))
        return names[0]
    return ""


def _agree(first: str, second: str, sources: list[Source]) -> bool:
    """Whether two names have equal values wherever both stand, and stand together somewhere."""
    both = [source for source in sources if first in source.values and second in source.values]
    return bool(both) and all(_close(source.values[first], source.values[second]) for source in both)


def _close(first: Any, second: Any) -> bool:
    try:
        return bool(
            np.allclose(np.asarray(first, float), np.asarray(second, float), rtol=1e-8, atol=1e-6, equal_nan=True)
        )
    except (TypeError, ValueError):
        return False


def _ambiguous(kind: str, names: list[str], counts: dict[str, int], sources: list[Source]) -> str:
    shown = ", ".join(f"{name} ({counts[name]} of {len(sources)} frames)" for name in names)
    return (
        f"{sources[0].file}: several names may be the {kind} and differ: {shown}. "
        f"Say which one is right: training.{kind}_key: {names[0]}"
    )


def _nothing_fits(kind: str, sources: list[Source]) -> str:
    there = sorted({key for source in sources for key in source.values})
    root = "energy" if kind == "energy" else "force"
    like = [key for key in there if re.search(root, key, re.I)] or there
    usual = ", ".join(NAMES[kind][0][:2] + NAMES[kind][1][:2])
    return (
        f"{sources[0].file}: no {kind} found under a usual name ({usual}, ...). State it "
        f"with training.{kind}_key. Names there: {', '.join(like) or 'none'}"
    )


def _one_of_both(keys: dict[str, str], settings: OwnData, sources: list[Source], notes: list[str]) -> None:
    """Stress and virial in one file: keep the stated one, or the stress when both say the same."""
    for kind, other in (("stress", "virial"), ("virial", "stress")):
        if getattr(settings, f"{kind}_key") and not getattr(settings, f"{other}_key"):
            del keys[other]
            return
    both = [s for s in sources if keys["stress"] in s.values and keys["virial"] in s.values]
    for source in both:
        assert source.atoms is not None
        stress, _ = stress_of(source.values[keys["stress"]])
        virial, _ = stress_of(source.values[keys["virial"]])
        if stress is not None and virial is not None and source.atoms.cell.rank == 3:
            expected = -stress * source.atoms.get_volume()
            if not np.allclose(virial, expected, rtol=1e-3, atol=1e-2):
                raise DataError(
                    f"{source.file}: {keys['stress']} and {keys['virial']} of frame {source.number} disagree "
                    "(a virial is minus the stress times the volume). Say which one is right with training.stress_key "
                    "or training.virial_key, and 'none' for the other"
                )
    del keys["virial"]
    notes.append("stresses were taken, virials left alone: they say the same")


def stress_of(value: Any) -> tuple[np.ndarray | None, str]:
    """Six Voigt components (xx, yy, zz, yz, xz, xy) of 6 or 9 numbers, or None and what is wrong."""
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None, "is not six or nine numbers"
    if numbers.size == 6:
        return numbers.ravel(), ""
    if numbers.size != 9:
        return None, f"has {numbers.size} numbers, not six or nine"
    full = numbers.reshape(3, 3)
    if np.isfinite(full).all() and not np.allclose(full, full.T, rtol=1e-3, atol=1e-3 * max(1e-3, np.abs(full).max())):
        return None, "is not symmetric"
    voigt = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    return np.array([(full[i, j] + full[j, i]) / 2 for i, j in voigt]), ""


def read_all(paths: Iterable[str], settings: OwnData) -> tuple[list[tuple[Source, dict[str, str]]], dict[str, Any]]:
    """Frames of several files, each with the names of its labels, and what was found, by file."""
    found: list[tuple[Source, dict[str, str]]] = []
    said: dict[str, Any] = {}
    for path in paths:
        sources = read_sources(path)
        keys, notes = find_keys(sources, settings)
        found += [(source, keys) for source in sources]
        said[path] = {"frames": len(sources), "keys": keys, "notes": notes}
    return found, said
