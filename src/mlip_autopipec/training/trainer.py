"""The interface of a trainer: frames in, files of a potential out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from ase import Atoms

from mlip_autopipec.config.full import Training


class Trainer(Protocol):
    """Anything that turns labelled frames into `.yaml`, `.yace`, `.asi` and a record of numbers and decisions."""

    def __call__(self, frames: list[Atoms], settings: Training, yaml: Path, yace: Path, asi: Path) -> dict[str, Any]:
        """Train and write; returns the record.

        Raises:
            DataError: the frames cannot be trained on.
        """
