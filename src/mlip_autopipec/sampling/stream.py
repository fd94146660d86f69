"""Extended XYZ files frame by frame: where each one lies, and any of them by its place, without holding the rest."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from ase.io.extxyz import key_val_str_to_dict

from mlip_autopipec.errors import InputFileError

_MEND = "Delete the file and run again; it is made anew. Of a file of your own, remove that frame."
_LONGEST_LINE = 1 << 20  # bytes; a longer one is no line of text


@dataclass(frozen=True)
class Raw:
    """One frame as it stands in its file.

    Attributes:
        path, number: the file and the place in it, from 0.
        offset: first byte in the file.
        text: all its bytes.
    """

    path: str
    number: int
    offset: int
    text: bytes

    def info(self) -> dict[str, Any]:
        """What its second line says.

        Raises:
            InputFileError: it is damaged.
        """
        try:
            found: dict[str, Any] = key_val_str_to_dict(self.text.split(b"\n", 2)[1].decode().strip())
        except Exception as error:  # ASE raises many kinds
            raise _damaged(self.path, self.number, f"its second line is not readable ({error})") from None
        if "Properties" not in found:  # ASE takes any line at all, and then knows no cell
            raise _damaged(self.path, self.number, "its second line has no Properties")
        return found

    def atoms(self) -> Atoms:
        """The frame, without a calculator.

        Raises:
            InputFileError: it is damaged, or has coordinates that are not finite numbers.
        """
        self.info()
        try:
            frame: Atoms = read(io.StringIO(self.text.decode()), index=0, format="extxyz")  # type: ignore[assignment]
        except Exception as error:  # ASE raises many kinds
            raise _damaged(self.path, self.number, str(error) or type(error).__name__) from None
        if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all()):
            raise _damaged(self.path, self.number, "it has coordinates that are not finite numbers")
        frame.calc = None
        if "uid" in frame.info:
            frame.info.setdefault("parent", "")
        return frame


def _damaged(path: object, number: int, problem: str) -> InputFileError:
    return InputFileError(path, f"frame {number} (the first is 0) is damaged: {problem}", _MEND)


def scan(path: str | os.PathLike[str]) -> Iterator[Raw]:
    """Frames of an extended XYZ file in order; memory: one frame. An empty file has none.

    Raises:
        InputFileError: the file is missing, or a frame is cut off or no frame at all; its number is said.
    """
    if not os.path.isfile(path):
        raise InputFileError(path, "no such file", "Run the rule that makes it, by giving its name to snakemake.")
    number, offset = 0, 0
    with open(path, "rb") as file:
        while first := file.readline(_LONGEST_LINE):
            if not first.strip():
                if file.read().strip():
                    raise _damaged(path, number, "an empty line stands where it should begin")
                return
            try:
                atoms = int(first)
            except ValueError:
                raise _damaged(
                    path, number, f"it should begin with a number of atoms, not {first[:40].strip()!r}"
                ) from None
            if atoms < 0:
                raise _damaged(path, number, f"it should have {atoms} atoms")
            lines = [first, file.readline(_LONGEST_LINE)]
            columns = 0
            for k in range(atoms):
                line = file.readline(_LONGEST_LINE)
                where = f"in the line of atom {k + 1} of {atoms}"
                if not line.strip() or (not line.endswith(b"\n") and k < atoms - 1):
                    raise _damaged(path, number, f"it ends {where}")
                words = len(line.split())
                if k and words != columns:
                    raise _damaged(path, number, f"the number of columns changes {where}")
                columns = words
                lines.append(line)
            text = b"".join(lines)
            yield Raw(str(path), number, offset, text)
            number += 1
            offset += len(text)


def read_at(path: str | os.PathLike[str], places: Sequence[tuple[int, int, int]]) -> list[Atoms]:
    """Frames by (number, offset, length in bytes), in that order.

    Raises:
        InputFileError: the file is missing, or there is no sound frame at such a place.
    """
    frames = []
    try:
        with open(path, "rb") as file:
            for number, offset, length in places:
                file.seek(offset)
                frames.append(Raw(str(path), int(number), int(offset), file.read(length)).atoms())
    except OSError as error:
        raise InputFileError(path, f"not readable ({error.strerror})", "Run the rule that makes it.") from None
    return frames
