"""A walk on disk while it goes on: frames as they come, and the state to go on from after a kill."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms

from mlip_autopipec.artifacts import atomic_path, write_json
from mlip_autopipec.frames import frame_text

SAVE_EVERY_S = 1.0  # at most that much work, and one block of steps, is lost by a kill
UID_BYTES = 16

PART, FRAMES_SUFFIX = ".part", ".extxyz"
FRAMES, STATE, VECTORS, UIDS, PROGRESS = "frames.extxyz", "state.npz", "vectors.f32", "uids.s16", "progress.json"


class Stream:
    """The folder `<path>.part` of a walk that is not finished.

    What counts is the state: it names how far every other file is valid, and is written, whole or not at all, after
    these are on the disk. What stands behind that in them is cut off when the walk goes on.

    Args:
        path: where the finished walk's frames go.
        key: of everything that decides the walk; a folder with another key is thrown away.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = Path(path), key
        self.folder = self.path.with_name(self.path.name + PART)
        self.frames = 0
        self.last_uid = ""
        self._width = 0
        self._files: dict[str, IO[bytes]] = {}
        self._saved_at = -np.inf

    def open(self) -> dict[str, np.ndarray]:
        """Open the files; the state that stands there, or {} for a fresh start."""
        state = self._read_state()
        if not state:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        else:
            self.frames, self.last_uid = int(state["stream_frames"]), str(state["stream_uid"])
            self._width = int(state["stream_width"])
        self._files = {name: open(self.folder / name, "ab") for name in (FRAMES, VECTORS, UIDS)}  # noqa: SIM115
        if state:
            for name, size in self._sizes(state).items():
                self._files[name].truncate(size)
                self._files[name].seek(0, os.SEEK_END)
        return state

    def _read_state(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.folder / STATE) as stored:
                state = dict(stored)
            whole = str(state["stream_key"]) == self.key and all(
                (self.folder / name).stat().st_size >= size for name, size in self._sizes(state).items()
            )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return {}
        return state if whole else {}

    @staticmethod
    def _sizes(state: Mapping[str, np.ndarray]) -> dict[str, int]:
        frames, width = int(state["stream_frames"]), int(state["stream_width"])
        return {FRAMES: int(state["stream_bytes"]), VECTORS: 4 * frames * width, UIDS: UID_BYTES * frames}

    def append(self, frame: Atoms, vector: np.ndarray | None) -> None:
        """Add a frame and its structure vector; a frame that is the one before again is left out."""
        uid = frame.info["uid"]
        if uid == self.last_uid:
            return
        self._files[FRAMES].write(frame_text(frame).encode())
        if vector is not None:
            self._width = len(vector)
            self._files[VECTORS].write(np.asarray(vector, dtype="<f4").tobytes())
        self._files[UIDS].write(uid.encode().ljust(UID_BYTES))
        self.frames += 1
        self.last_uid = uid

    def due(self) -> bool:
        """Whether the state should be saved now."""
        return time.monotonic() - self._saved_at >= SAVE_EVERY_S

    def save(self, state: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Make sure that the files are on the disk, then write the state, then how far the walk is."""
        self._sync()
        own: dict[str, Any] = {
            "stream_key": self.key,
            "stream_frames": self.frames,
            "stream_bytes": self._files[FRAMES].tell(),
            "stream_width": self._width,
            "stream_uid": self.last_uid,
        }
        with atomic_path(self.folder / STATE) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **(own | dict(state)))
            handle.flush()
            os.fsync(handle.fileno())
        write_json(self.folder / PROGRESS, progress)
        self._saved_at = time.monotonic()

    def _sync(self) -> None:
        for handle in self._files.values():
            handle.flush()
            os.fsync(handle.fileno())

    def finish(self, vectors_to: Path | None, key: str) -> None:
        """Put the frames in their place, and the structure vectors in `vectors_to`; remove the folder."""
        self._sync()
        self.close()
        if vectors_to is not None:
            with atomic_path(vectors_to) as temporary, open(temporary, "wb") as handle:
                np.savez(handle, uid=self._read_uids(), vectors=self._read_vectors(), key=key)
        os.replace(self.folder / FRAMES, self.path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_uids(self) -> np.ndarray:
        return np.fromfile(self.folder / UIDS, dtype=f"S{UID_BYTES}").astype(str)

    def _read_vectors(self) -> np.ndarray:
        shape = (self.frames, self._width)
        if not all(shape):
            return np.zeros(shape, dtype=np.float32)
        return np.memmap(self.folder / VECTORS, dtype="<f4", mode="r", shape=shape)  # copied without being read whole

    def close(self) -> None:
        """Close the files; what is not saved counts for nothing."""
        for handle in self._files.values():
            handle.close()
