"""A table of a run's walkers: `python -m mlip_autopipec.exploration results/<run>`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.exploration.progress import duration
from mlip_autopipec.exploration.streams import FRAMES_SUFFIX, PART, PROGRESS

FOLDERS = ("explored", "test")
SILENT_S = 600.0  # a walker that has kept no frame for so long, and for five times what one takes, may be dead


def table(folder: Path) -> list[tuple[str, str, str]]:
    """Of each walker of a run that has begun: its name, what it is (a few words), and more about that."""
    rows = []
    for place in FOLDERS:
        records = {path.stem: path for path in sorted((folder / place).glob("*.json"))}
        parts = {
            path.name.removesuffix(FRAMES_SUFFIX + PART): path
            for path in sorted((folder / place).glob(f"*{FRAMES_SUFFIX}{PART}"))
        }
        for name in sorted({*records, *parts}):
            known = _of_a_part(parts[name]) if name in parts else _of_a_record(records[name])
            rows.append((f"{place}/{name}", *known))
    return rows


def _of_a_part(path: Path) -> tuple[str, str]:
    try:
        progress: dict[str, Any] = read_json(path / PROGRESS)
    except InputFileError:
        return "running", "no frame yet"
    silent_s = time.time() - progress["updated"]
    about = (
        f"step {progress['step']} of {progress['steps']}, {progress['frames']} frames, "
        f"{progress['temperature_k']:.0f} K, {progress['energy_ev_per_atom']:.3f} eV/atom, "
        f"{progress['volume_angstrom3_per_atom']:.2f} A^3/atom"
    )
    if silent_s > max(SILENT_S, 5 * progress["seconds_per_frame"]):
        return f"{progress['step'] / progress['steps']:.0%}, silent for {duration(silent_s)}", about
    return f"{progress['step'] / progress['steps']:.0%}, {duration(progress['seconds_left'])} left", about


def _of_a_record(path: Path) -> tuple[str, str]:
    try:
        record: dict[str, Any] = read_json(path)
    except InputFileError as error:
        return "unreadable", str(error)
    about = f"{record.get('ensemble', '')}, {record['frames']} frames in {duration(record.get('seconds', 0.0))}"
    warned = "".join(f"; {warning}" for warning in record.get("warnings", []))
    if record["stopped"]:
        return f"stopped at step {record['steps_done']}", f"{record['stopped']} ({about}){warned}"
    return "finished", about + warned


def main(arguments: list[str]) -> int:
    """Print the table; 2 if there is no such run."""
    folder = Path(arguments[0]) if len(arguments) == 1 else None
    if folder is None or not folder.is_dir():
        what = "Give the folder of a run" if folder is None else f"{folder}: no such folder. Give that of a run"
        print(f"{what}, e.g. python -m mlip_autopipec.exploration results/si", file=sys.stderr)
        return 2
    rows = table(folder)
    if not rows:
        print(f"No walker has begun in {folder}.")
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(2)]
    for name, what, about in rows:
        print(f"{name:<{widths[0]}}  {what:<{widths[1]}}  {about}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
