"""Features on disk: one table per file of frames, made once, and a pool of many such files that is read in blocks.

Beside NAME.npy (float32, one row per frame in the order of the file) lies NAME.index.npz: what each frame is called and
where it stands in its file, so that the few chosen ones are read without the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mlip_autopipec.artifacts import atomic_path, sha256
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import uid as identity
from mlip_autopipec.sampling.descriptors import Describer, Vectors, checked
from mlip_autopipec.sampling.samplers import BLOCK_ROWS, Block
from mlip_autopipec.sampling.stream import Raw, scan

BLOCK_BYTES = 32 * 2**20
"""Of a block of features, at most."""

_AGAIN = "Delete it and run again; it is made anew."


def index_path(features: str | os.PathLike[str]) -> Path:
    """NAME.index.npz of NAME.npy."""
    return Path(features).with_suffix(".index.npz")


def walk_of(origin: object) -> str:
    """The walker or generator that an origin names, without the step."""
    return str(origin).split(" step ")[0]


def describe(
    frames_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    describer: Describer,
    known: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Features of all frames of an extended XYZ file, streaming: memory does not grow with the file but for some 100
    bytes per frame.

    Args:
        out: NAME.npy; the index is written beside it, after it. Both are left alone where they were made from the same
            frames with the same descriptor.
        known: X.invariants.npz of a walker: arrays `uid`, `vectors` and `key`. Its rows are taken, without evaluating
            anything, when its key is the describer's; a file that is missing or of another key is no error.

    Returns:
        A record: frames, columns, taken (rows of the walker), made, key, reused.

    Raises:
        InputFileError: a frame is damaged; the file and the frame's number are said.
        DataError: a descriptor is not finite, or a frame holds an element that the describer does not know.
    """
    out, source = Path(out), sha256(frames_path) if os.path.isfile(frames_path) else ""
    found = _whole(out, describer.key, source)
    if found is not None:
        return found
    rows = _known(known, describer.key)
    index: dict[str, list[Any]] = {name: [] for name in ("uid", "parent", "config_type", "origin", "offset", "length")}
    origins: dict[str, int] = {}
    columns, taken = describer.columns, 0
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        header = 0
        for raw in scan(frames_path):
            info = raw.info()
            name = str(info.get("uid", ""))
            vector = rows.get(name)
            if vector is None:
                vector, name = _made(raw, name, describer)
            else:
                taken += 1
            if not header:
                columns = len(vector)
                header = _write_header(file, 0, columns)
            elif len(vector) != columns:
                raise InputFileError(
                    known or frames_path, f"frame {raw.number} has {len(vector)} features, others {columns}", _AGAIN
                )
            file.write(np.ascontiguousarray(vector, dtype=np.float32).tobytes())
            walk = walk_of(info.get("origin", ""))
            entry = (name, info.get("parent", ""), info.get("config_type", ""), origins.setdefault(walk, len(origins)))
            for key, value in zip(index, (*entry, raw.offset, len(raw.text)), strict=True):
                index[key].append(value)
        number = len(index["uid"])
        header = header or _write_header(file, 0, columns)
        file.seek(0)
        if _write_header(file, number, columns) != header:
            raise AssertionError("the header of a table must not change its length")  # numpy leaves room for growth
    _write_index(index_path(out), index, origins, describer.key, source, Path(frames_path))
    return _record(number, columns, taken, describer.key, False)


def _record(frames: int, columns: int, taken: int, key: str, reused: bool) -> dict[str, Any]:
    return {
        "frames": frames,
        "columns": columns,
        "taken": taken,
        "made": 0 if reused else frames - taken,
        "key": key,
        "reused": reused,
    }


def _whole(out: Path, key: str, source: str) -> dict[str, Any] | None:
    """The record of a table that is there already."""
    try:
        with np.load(index_path(out), allow_pickle=False) as index:
            if str(index["key"]) != key or str(index["sha256"]) != source:
                return None
            rows, columns = Table(out).shape
            if rows != len(index["offset"]):
                return None
    except Exception:  # missing or damaged in one of many ways: it is made anew
        return None
    return _record(rows, columns, 0, key, True)


def _known(path: str | os.PathLike[str] | None, key: str) -> dict[str, Vectors]:
    """Vectors by uid that a walker left, if it had the same model."""
    if path is None or not os.path.isfile(path):
        return {}
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["key"]) != key:
                return {}
            names = data["uid"].tolist()
            vectors: NDArray[np.float32] = np.asarray(data["vectors"], dtype=np.float32)
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise InputFileError(path, f"not readable as a walker's invariants ({error})", _AGAIN) from None
    return {str(name): vectors[k] for k, name in enumerate(names) if np.isfinite(vectors[k]).all()}


def _made(raw: Raw, name: str, describer: Describer) -> tuple[Vectors, str]:
    frame = raw.atoms()
    name = name or identity(frame)
    return checked(describer(frame), f"{raw.path}: frame {raw.number} ({name})"), name


def _write_header(file: Any, rows: int, columns: int) -> int:
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)})
    return int(file.tell())


def _write_index(
    path: Path, index: dict[str, list[Any]], origins: dict[str, int], key: str, source: str, frames: Path
) -> None:
    kinds, codes = np.unique(np.array(index["config_type"], dtype=np.str_), return_inverse=True)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            uid=np.array(index["uid"], dtype=np.bytes_),
            parent=np.array(index["parent"], dtype=np.bytes_),
            kind_names=kinds,
            kind=codes.astype(np.int32),
            origin_names=np.array(list(origins), dtype=np.str_),
            origin=np.array(index["origin"], dtype=np.int32),
            offset=np.array(index["offset"], dtype=np.int64),
            length=np.array(index["length"], dtype=np.int64),
            key=np.array(key),
            sha256=np.array(source),
            frames_bytes=np.array(frames.stat().st_size),
            frames_name=np.array(frames.stem),
        )


class Table:
    """A table in a .npy file, read in blocks and never mapped: mapped pages count as this process's memory.

    Raises:
        InputFileError: the file is missing or no table of float32.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                npy.read_magic(file)
                shape, fortran, kind = npy.read_array_header_1_0(file)
                self._start = file.tell()
            if fortran or kind != np.dtype("<f4") or len(shape) != 2:
                raise ValueError(f"it is {kind} of shape {shape}")
        except FileNotFoundError:
            raise InputFileError(path, "no such file", "Run the rule describe, which makes it.") from None
        except Exception as error:  # numpy raises many kinds
            raise InputFileError(path, f"not readable as a table of features ({error})", _AGAIN) from None
        self.shape: tuple[int, int] = (int(shape[0]), int(shape[1]))

    def blocks(self) -> Iterator[Block]:
        rows, columns = self.shape
        step = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(4 * columns, 1)))
        with open(self.path, "rb") as file:
            file.seek(self._start)
            for start in range(0, rows, step):
                number = min(step, rows - start)
                block: NDArray[np.float32] = np.fromfile(file, dtype="<f4", count=number * columns)
                if len(block) != number * columns:
                    raise InputFileError(self.path, f"it ends before row {start + number} of {rows}", _AGAIN)
                yield block.reshape(number, columns)
