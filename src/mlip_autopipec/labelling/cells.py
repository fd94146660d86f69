"""What an estimate needs to know of frames, read from an extended XYZ file without parsing structures.

Read in the workflow's input functions, which are called many times and must load nothing heavy: the standard library
alone, and each version of a file once.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlip_autopipec.errors import MlipError

_NAME = re.compile(r'(?:^|\s)name="?([A-Za-z0-9]+)"?')
_UID = re.compile(r'(?:^|\s)uid="?([A-Za-z0-9]+)"?')
_LATTICE = re.compile(r'(?:^|\s)Lattice="([^"]*)"')
_PLANES = re.compile(r'(?:^|\s)plane_distances="([^"]*)"')
_TYPE = re.compile(r'(?:^|\s)config_type="?([A-Za-z0-9_]+)"?')
_QUOTED = re.compile(r'"[^"]*[ =][^"]*"')  # free text, which may say anything
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_ROUGH_VOLUME_PER_ATOM = 20.0  # A^3, where a frame has no cell


@dataclass(frozen=True)
class Cell:
    """One frame as an estimate sees it.

    Attributes:
        name: its name, or else its uid.
        counts: atoms by element.
        volume: of the cell, A^3.
        planes: distances of the lattice planes of the unstrained cell, A; 0 where there is vacuum.
    """

    name: str
    uid: str
    natoms: int
    counts: Mapping[str, int]
    volume: float
    planes: tuple[float, float, float]
    isolated_atom: bool


def read_cells(path: str | os.PathLike[str]) -> tuple[Cell, ...]:
    """The frames of a file in order; each version of a file is read once per process.

    Raises:
        MlipError: a frame has neither name nor uid, or the file ends early.
        ValueError: it is no such file.
        OSError: there is no such file.
    """
    state = os.stat(path)
    return _read(os.fspath(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _read(path: str, _time: int, _size: int) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    with open(path, encoding="utf-8") as handle:
        while count := handle.readline().strip():
            comment = handle.readline()
            counts: Counter[str] = Counter()
            for _ in range(int(count)):
                atom = handle.readline()
                if not atom.endswith("\n"):
                    raise MlipError(f"{path}: frame {len(cells)} ends early. Delete the file and run again.")
                counts[(atom.split(maxsplit=1) or ["X"])[0]] += 1
            cells.append(_cell(path, len(cells), comment, counts))
    return tuple(cells)


def _cell(path: str, number: int, comment: str, counts: Counter[str]) -> Cell:
    words = _QUOTED.sub("", comment)
    uid, name = _UID.search(words), _NAME.search(words)
    found = name or uid
    if not found:
        raise MlipError(f"{path}: frame {number} has neither name nor uid. Delete the file and run again.")
    natoms = counts.total()
    lattice, planes, kind = _LATTICE.search(comment), _PLANES.search(comment), _TYPE.search(words)
    vectors = [float(word) for word in lattice.group(1).split()] if lattice else []
    return Cell(
        name=found.group(1),
        uid=uid.group(1) if uid else "",
        natoms=natoms,
        counts={symbol: k for symbol, k in counts.items() if _SYMBOL.fullmatch(symbol)},
        volume=_volume(vectors) or natoms * _ROUGH_VOLUME_PER_ATOM,
        planes=_planes(vectors, planes.group(1) if planes else ""),
        isolated_atom=natoms == 1 and kind is not None and kind.group(1) == "IsolatedAtom",
    )


def _volume(v: list[float]) -> float:
    if len(v) != 9:
        return 0.0
    cross = _cross(v[3:6], v[6:9])
    return abs(sum(a * b for a, b in zip(v[:3], cross, strict=True)))


def _cross(a: list[float], b: list[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _planes(v: list[float], known: str) -> tuple[float, float, float]:
    """Distances of lattice planes: as written, or those of the cell itself."""
    written = [float(word) for word in known.split()]
    if len(written) == 3:
        return written[0], written[1], written[2]
    volume = _volume(v)
    if not volume:
        return 0.0, 0.0, 0.0
    rows = [v[:3], v[3:6], v[6:9]]
    sides = (sum(x * x for x in _cross(rows[(k + 1) % 3], rows[(k + 2) % 3])) ** 0.5 for k in range(3))
    first, second, third = (volume / side for side in sides)
    return first, second, third


def label_files(frames_file: str | os.PathLike[str]) -> list[Path]:
    """Where the labels of a batch stand, in its frames' order: `labeled/<batch>` beside `frames/<batch>.extxyz`."""
    path = Path(frames_file)
    return [path.parents[1] / "labeled" / path.stem / f"{cell.name}.json" for cell in read_cells(path)]
