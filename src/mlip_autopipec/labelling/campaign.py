"""One frame of the campaign: find it, label it, keep the verdict and the raw output."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.config.full import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import ISOLATED_ATOM, read_frames
from mlip_autopipec.labelling.collect import find_frame
from mlip_autopipec.labelling.espresso.run import EspressoLabeller
from mlip_autopipec.labelling.labeller import Label, Labeller, write_label

PathLike = str | os.PathLike[str]


def make_labeller(settings: Labelling) -> Labeller:
    """The engine that the configuration names.

    Raises:
        ConfigurationFault: the engine's program or one of its files is missing.
    """
    return EspressoLabeller.from_config(settings.model_dump())


def label_frame(
    frames_file: PathLike, name: str, settings: Labelling, *, label_file: PathLike, raw_file: PathLike
) -> Label:
    """Label the frame `name` of `frames_file` in the folder beside `label_file` that has its name.

    The verdict is written whatever it is; the raw output beside it is the deciding one, or a line saying why there is
    none.

    Raises:
        ConfigurationFault: the set-up is wrong for every frame, or an isolated atom or an ideal crystal,
            the first runs of all, got no label for reasons of the machine; nothing is written, the campaign must stop.
        DataError: there is no such frame.
    """
    frame = find_frame(read_frames(frames_file), name)
    folder = Path(label_file).with_suffix("")
    labeller = make_labeller(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as alone:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(alone, fcntl.LOCK_EX)  # a batch job of a killed run may still be at it
        label = labeller.label(frame, folder)
    if frame.info["config_type"] in (ISOLATED_ATOM, "eos") and label.kind == "infrastructure":
        raise ConfigurationFault(
            f"One of the first DFT runs ({frame.info['config_type']} {name}) failed "
            f"for reasons of the machine: {label.reason}",
            f"Look at pw.out and pw.err in {folder}/attempt_{len(label.attempts)}, mend labelling.command or the "
            "machine, and run again",
        )
    with atomic_path(raw_file) as temporary:
        if label.output_file is not None:
            shutil.copyfile(folder / label.output_file, temporary)
        else:
            temporary.write_text(f"No {label.engine} run: {label.reason}\n", encoding="utf-8")
    write_label(label_file, label)
    return label
