"""What a trainer is, and the trainers there are, by the name in `training.trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

from ase import Atoms

from mlip_autopipec.config.full import Training
from mlip_autopipec.config.kinds import TRAINER_GROUP
from mlip_autopipec.plugins import find

_BUILT_IN = {
    "linear-ace": "mlip_autopipec.training.linear_ace",
    "pacemaker": "mlip_autopipec.training.pacemaker",
}


class Trainer(Protocol):
    """A module or object that turns labelled frames into `.yaml`, `.yace`, `.asi` and a record.

    Other packages offer theirs as an entry point of the group `mlip_autopipec.trainers`, under the name that users
    write in `training.trainer`. A function `check(settings)`, if there is one, is called before the first job of a run
    and raises ConfigurationFault when a program that the trainer needs is missing.
    """

    def train(
        self, frames: list[Atoms], settings: Training, yaml: Path, yace: Path, asi: Path, **more: Any
    ) -> dict[str, Any]:
        """Train and write; returns the record of numbers and decisions.

        Raises:
            DataError: the frames cannot be trained on.
        """
        ...


def find_trainer(name: str) -> Trainer:
    """The trainer of this name; ours come first, so that no package can replace them.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    return cast(Trainer, find(name, _BUILT_IN, TRAINER_GROUP, "training.trainer", "trainer"))


def check_trainer(settings: Training) -> None:
    """Look for what the chosen trainer needs.

    Raises:
        ConfigError, ConfigurationFault: something is missing; with the remedy.
    """
    check = getattr(find_trainer(settings.trainer), "check", None)
    if check is not None:
        check(settings)


def train(frames: list[Atoms], settings: Training, yaml: Path, yace: Path, asi: Path, **more: Any) -> dict[str, Any]:
    """Train with the trainer that the settings name; see `Trainer.train`."""
    return find_trainer(settings.trainer).train(frames, settings, yaml, yace, asi, **more)
