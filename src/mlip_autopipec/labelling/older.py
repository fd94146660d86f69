"""A run's folder that other settings or an older version have written, looked through before the first job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import MlipError
from mlip_autopipec.labelling.cells import label_files
from mlip_autopipec.labelling.ledger import Ledger
from mlip_autopipec.labelling.surfaces import differences, said


def refuse_older_labels(folder: Path) -> None:
    """Refuse to go on with labels of generations that neither records of jobs nor the ledger know.

    Snakemake would take them for none, or for finished while test labels are made at other settings.

    Args:
        folder: of the run.

    Raises:
        MlipError: there are such labels.
    """
    ledger = Ledger(folder / "labeled")
    for batch in sorted((folder / "labeled").glob("gen*")):
        if (batch / "jobs").is_dir():
            continue
        names = [path.stem for path in batch.glob("*.json") if path.name != "review.json"]
        if names and not any(line.get("batch") == batch.name for line in ledger.lines()):
            raise MlipError(
                f"{folder} holds labels of an older version of this program ({len(names)} in {batch}), which cannot "
                "be gone on with. Give the run another name (config key 'run'), or move this folder away."
            )


def other_settings(settings: Labelling, folder: Path) -> str:
    """That labels of the run's frames were made with other settings than the configuration's, and which; else ''."""
    now, changed, count = settings.surface(), dict[str, tuple[Any, Any]](), 0
    for path in _label_files(folder):
        surface = _surface(path)
        if found := {} if surface is None else differences(surface, now):
            changed, count = changed | found, count + 1
    if not count:
        return ""
    told = ", ".join(f"{key}: {said(before)} -> {said(after)}" for key, (before, after) in changed.items())
    return (
        f"{count} label{'s were' if count > 1 else ' was'} made with other settings ({told}), and what is still "
        "needed of them is made again. To keep them stop the run and write the old values into the config."
    )


def _label_files(folder: Path) -> Iterator[Path]:
    """Labels of the frames that are in the run's frame files; others are left over and asked for by nothing."""
    for frames in sorted((folder / "frames").glob("*.extxyz")):
        with suppress(MlipError, OSError, ValueError):  # a damaged file is reported where it is read
            yield from label_files(frames)


def _surface(path: Path) -> dict[str, Any] | None:
    """Settings of a label, read without its numbers; None where it has none or is damaged."""
    with suppress(OSError, ValueError):
        text = path.read_text(encoding="utf-8")
        start = text.find('"surface": {')
        if start >= 0:
            found = json.JSONDecoder().raw_decode(text, text.index("{", start))[0]
            return found if isinstance(found, dict) else None
    return None
