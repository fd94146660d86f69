"""All frames that may be chosen: their features in blocks, what they are called, and any few of them by seeking."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.errors import InputFileError
from mlip_autopipec.frames import uid as identity
from mlip_autopipec.sampling.descriptors import Describer, vectors_of
from mlip_autopipec.sampling.samplers import ArrayFeatures, Block, Features, Indices
from mlip_autopipec.sampling.store import Table, index_path, walk_of
from mlip_autopipec.sampling.stream import read_at


@dataclass(frozen=True)
class Several:
    """Tables one below the other."""

    parts: Sequence[Features]

    @property
    def shape(self) -> tuple[int, int]:
        return sum(part.shape[0] for part in self.parts), max((part.shape[1] for part in self.parts), default=0)

    def blocks(self) -> Iterator[Block]:
        for part in self.parts:
            yield from part.blocks()


@dataclass(frozen=True)
class Kept:
    """Some rows of a table, in its order: those where `keep` (rows,) is true."""

    features: Features
    keep: NDArray[np.bool_]

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.keep.sum()), self.features.shape[1]

    def blocks(self) -> Iterator[Block]:
        start = 0
        for block in self.features.blocks():
            keep = self.keep[start : start + len(block)]
            start += len(block)
            if keep.all():
                yield block
            elif keep.any():
                yield block[keep]


def rows_of(features: Features, indices: Indices) -> Block:
    """(indices, columns) of a table, in that order; read in one pass."""
    found = np.zeros((len(indices), features.shape[1]), dtype=np.float32)
    order = np.argsort(indices, kind="stable")
    wanted, start = np.asarray(indices)[order], 0
    for block in features.blocks():
        first, last = np.searchsorted(wanted, [start, start + len(block)])
        found[order[first:last]] = block[wanted[first:last] - start]
        start += len(block)
    return found


@dataclass(frozen=True)
class Pool:
    """Frames to choose from, in order.

    Attributes:
        features: (frames, columns).
        uid, parent: (frames,) bytes; b"" for no parent.
        config_type, source: (frames,) words; the source is the file a frame is from.
        strata: (frames,) int; equal for frames of one trajectory: of one file, type, and walker or generator.
        key: of the descriptor.
    """

    features: Features
    uid: NDArray[np.bytes_]
    parent: NDArray[np.bytes_]
    config_type: NDArray[np.str_]
    source: NDArray[np.str_]
    strata: NDArray[np.int64]
    key: str
    _frames: Sequence[Atoms] | None = None
    _files: tuple[Path, ...] = ()
    _places: NDArray[np.int64] | None = None  # (frames, 4): file, number in it, offset, length in bytes

    def __len__(self) -> int:
        return len(self.uid)

    @classmethod
    def of(cls, frames: Sequence[Atoms], describer: Describer, source: str = "") -> Pool:
        """A pool in memory."""
        names = [str(f.info.get("uid") or identity(f)) for f in frames]
        parents = [str(f.info.get("parent", "")) for f in frames]
        kinds = [str(f.info.get("config_type", "")) for f in frames]
        walks = [(kind, walk_of(f.info.get("origin", ""))) for kind, f in zip(kinds, frames, strict=True)]
        code = {walk: k for k, walk in enumerate(dict.fromkeys(walks))}
        return cls(
            ArrayFeatures(vectors_of(frames, describer)),
            np.array(names, dtype=np.bytes_),
            np.array(parents, dtype=np.bytes_),
            np.array(kinds, dtype=np.str_),
            np.array([source] * len(frames), dtype=np.str_),
            np.array([code[walk] for walk in walks], dtype=np.int64),
            describer.key,
            list(frames),
        )

    @classmethod
    def open(cls, files: Sequence[tuple[str | os.PathLike[str], str | os.PathLike[str]]]) -> Pool:
        """A pool on disk.

        Args:
            files: (file of frames, its features NAME.npy) as `store.describe` made them.

        Raises:
            InputFileError: a file is missing, damaged, made with another descriptor than the first one, or older than
                its frames.
        """
        parts: list[dict[str, Any]] = []
        tables: list[Table] = []
        start = 0
        for number, (frames, features) in enumerate(files):
            table, part = Table(features), _read_index(features)
            if table.shape[0] != len(part["uid"]):
                raise _unfit(features, f"it has {table.shape[0]} rows and its index {len(part['uid'])}")
            if not os.path.isfile(frames) or os.path.getsize(frames) != part["frames_bytes"]:
                raise _unfit(features, f"it was made of another state of {frames}")
            if parts and part["key"] != parts[0]["key"]:
                raise _unfit(features, f"its descriptor ({part['key']}) is not that of {files[0][1]}")
            if not len(part["uid"]):
                continue
            if tables and table.shape[1] != tables[0].shape[1]:
                raise _unfit(features, f"it has {table.shape[1]} columns and {tables[0].path} has {tables[0].shape[1]}")
            pairs = np.stack([part["kind"], part["origin"]])
            _, strata = np.unique(pairs, axis=1, return_inverse=True)
            part["strata"] = strata.reshape(-1).astype(np.int64) + start
            start = int(part["strata"].max()) + 1
            count = len(part["uid"])
            part["places"] = np.stack(
                [np.full(count, number), np.arange(count), part["offset"], part["length"]], axis=1
            )
            part["sources"] = np.full(count, str(part["frames_name"]))
            part["kinds"] = part["kind_names"][part["kind"]]
            parts.append(part)
            tables.append(table)
        if not parts:
            empty = np.zeros(0, dtype="S1")
            words = np.zeros(0, dtype=np.str_)
            return cls(Several([]), empty, empty, words, words, np.zeros(0, dtype=np.int64), "", [])

        def column(name: str) -> NDArray[Any]:
            return np.concatenate([part[name] for part in parts])

        return cls(
            Several(tables),
            column("uid"),
            column("parent"),
            column("kinds"),
            column("sources"),
            column("strata"),
            str(parts[0]["key"]),
            None,
            tuple(Path(frames) for frames, _ in files),
            column("places"),
        )

    def read(self, indices: Indices | Sequence[int]) -> list[Atoms]:
        """These frames, in that order.

        Raises:
            InputFileError: a frame is damaged.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if self._places is None:
            return [(self._frames or [])[int(k)] for k in wanted]
        places = self._places[wanted]
        frames: dict[int, Atoms] = {}
        for file in np.unique(places[:, 0]):
            own = np.flatnonzero(places[:, 0] == file)
            own = own[np.argsort(places[own, 2], kind="stable")]
            found = read_at(self._files[int(file)], [(int(n), int(o), int(s)) for n, o, s in places[own, 1:]])
            frames.update(zip(own.tolist(), found, strict=True))
        return [frames[k] for k in range(len(wanted))]


def _unfit(path: object, problem: str) -> InputFileError:
    return InputFileError(path, problem, "Delete it and run again; it is made anew.")


def _read_index(features: str | os.PathLike[str]) -> dict[str, Any]:
    path = index_path(features)
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] if data[name].ndim else data[name].item() for name in data.files}
    except FileNotFoundError:
        raise InputFileError(path, "no such file", "Run the rule describe, which makes it.") from None
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise _unfit(path, f"not readable ({error})") from None
