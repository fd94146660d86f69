"""Make the starting structures of a formula and print what became of them; no pseudopotential is needed.

``python -m mlip_autopipec.structures NaCl [--folder FOLDER]`` writes parents.extxyz, structures.extxyz and
structures.json into the folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIG_DFL, SIGPIPE, signal
from typing import Any

from ase.calculators.calculator import Calculator

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config import Config, expand
from mlip_autopipec.errors import MlipError
from mlip_autopipec.frames import write_frames
from mlip_autopipec.structures import Task, generate, merge, merge_parents, relax_source


def main(arguments: list[str] | None = None) -> int:
    """Make parents and structures as the workflow would, in one process; 2 when the formula cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m mlip_autopipec.structures", description=__doc__)
    parser.add_argument("composition", help="chemical formula, such as NaCl or Al0.9Mg0.1")
    parser.add_argument("--folder", type=Path, help="where the files go (structures_<composition>)")
    parser.add_argument("--seed", type=int, default=1, help="feeds every random choice")
    given = parser.parse_args(arguments)
    folder = given.folder or Path(f"structures_{given.composition}")
    try:
        config, _ = expand({"composition": given.composition, "seed": given.seed})
        if not isinstance(config, Config):
            raise TypeError("a composition expands to a whole configuration")
        task = Task.of(config, lambda: _surrogate(config.exploration.surrogate))
        proposed = [relax_source(name, task) for name in config.structures.sources]
        parents, parents_record = merge_parents(proposed, task)
        made = [generate(name, parents, task) for name, count in config.structures.counts.items() if count]
        frames, record = merge(parents, made, task)
    except MlipError as error:
        print(error, file=sys.stderr)
        return 2
    write_frames(folder / "parents.extxyz", parents)
    write_frames(folder / "structures.extxyz", frames)
    write_json(folder / "structures.json", {"parents": parents_record, "structures": record})
    print(_tables(parents_record, record))
    print(f"{len(frames)} structures in {folder}/structures.extxyz")
    return 0


def _surrogate(name: str) -> Calculator:
    # This command stands where the workflow's scripts stand: it joins two stages that do not know each other.
    from mlip_autopipec.surrogates import load_surrogate

    return load_surrogate(name)


def _tables(parents: Mapping[str, Any], structures: Mapping[str, Any]) -> str:
    """What became of every proposed parent and of every generator, as text."""
    lines = [f"{'parent':<16}{'space group':<13}{'atoms':>6}{'A^3/atom':>10}{'meV/atom':>10}{'s':>7}  kept"]
    for row in parents["tried"]:
        volume, above = row.get("volume_per_atom_angstrom3"), row.get("above_lowest_ev_per_atom")
        numbers = f"{volume:>10.2f}{1000 * above:>10.1f}" if volume and above is not None else f"{'':>20}"
        outcome = "yes" if row["kept"] else f"no: {row['why']}"
        group = row.get("spacegroup", "")
        lines.append(f"{row['prototype']:<16}{group:<13}{row['atoms']:>6}{numbers}{row['seconds']:>7.1f}  {outcome}")
    for record in parents["sources"]:
        reasons = [record["failed"], *(f"{name}: {why}" for name, why in record["skipped"].items())]
        lines += [f"source {record['source']}: {reason}" for reason in reasons if reason]
    lines += ["", f"{'generator':<16}{'asked':>6}{'made':>6}{'kept':>6}{'s':>7}"]
    for record in structures["generators"]:
        counts = f"{record['asked']:>6}{record['made']:>6}{record['kept']:>6}{record['seconds']:>7.1f}"
        failed = f"  failed: {record['failed']}" if record["failed"] else ""
        lines.append(f"{record['generator']:<16}{counts}{failed}")
    lines.append(f"{structures['duplicates']} were the same as another and left out")
    return "\n".join(lines)


if __name__ == "__main__":
    signal(SIGPIPE, SIG_DFL)  # `| head` ends it quietly
    sys.exit(main())
