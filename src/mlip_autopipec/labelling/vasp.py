"""Labels from VASP, for those who have it. Never run with a real VASP: input and output are tested on files."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.labelling.espresso.process import Ended, run_process
from mlip_autopipec.labelling.espresso.verdict import close_pair
from mlip_autopipec.labelling.labeller import Attempt, Label
from mlip_autopipec.labelling.plausible import Bounds, Refusal
from mlip_autopipec.labelling.vasp_input import check_options, data_sets, ediff_ev, mesh, write_input
from mlip_autopipec.labelling.vasp_output import VaspResult, judge, read_vasp

UNTESTED = "the engine vasp was never run with a real VASP: its input and output were tested on files"
# Another way to the same ground state, for a frame whose SCF does not converge (VASP's manual, ALGO).
_SECOND = ({"algo": "All"}, "another minimiser of the electrons (ALGO = All), twice the steps")


class VaspLabeller:
    """Labels frames with VASP, one folder per frame, one subfolder per attempt."""

    name = "vasp"

    def __init__(self, settings: Labelling) -> None:
        """Check what is written.

        Raises:
            ConfigError, ConfigurationFault: VASP is not found, or a value cannot be used with it.
        """
        self.settings = settings
        self.bounds = Bounds.from_config(settings.model_dump())
        self._words = shlex.split(settings.command)
        if not self._words or any(Path(word).name == "pw.x" for word in self._words):
            raise ConfigError(
                "labelling.command", settings.command, "this does not start VASP",
                "Write how VASP is started here, such as 'mpirun -np 8 vasp_std'.",
            )  # fmt: skip
        if shutil.which(self._words[0]) is None:
            raise ConfigurationFault(
                f"'{self._words[0]}' (labelling.command) is not found on the PATH",
                "Give the path of VASP, or load its module before snakemake is started",
            )
        check_options(settings)

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> VaspLabeller:
        """A labeller from the `labelling` section of the full configuration.

        Raises:
            ConfigError, ConfigurationFault: as the constructor.
        """
        return cls(Labelling.model_validate(dict(section)))

    def check(self, elements: Sequence[str]) -> None:
        """Find the data sets of these elements, and say that nobody has tried this engine.

        Raises:
            ConfigurationFault: one is missing.
        """
        data_sets(self.settings, elements)
        print(f"Warning: {UNTESTED}. Look at the first labels yourself.", flush=True)

    def label(self, atoms: Atoms, workdir: Path, *, ranks: int = 1, seconds: float | None = None) -> Label:
        """Label one frame. See `Labeller.label`; attempts of an earlier, killed run in `workdir` are removed."""
        workdir = Path(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        for stale in workdir.glob("attempt_*"):
            shutil.rmtree(stale, ignore_errors=True)
        if close := close_pair(atoms, self.bounds.minimum_distance_fraction):
            return self._label(atoms, Refusal("atoms_too_close", "structure", close), VaspResult(), [], [], {}, ranks)
        sets = data_sets(self.settings, list(dict.fromkeys(atoms.get_chemical_symbols())))
        titles = {element: one.title for element, one in sets.items()}
        left = min(seconds or self.settings.max_seconds, self.settings.max_seconds)
        attempts: list[Attempt] = []
        changes: dict[str, Any] = {}
        why = "first attempt"
        while True:
            folder = workdir / f"attempt_{len(attempts) + 1}"
            order = write_input(atoms, self.settings, folder, changes)
            ended, printed = self._run(folder, left, ranks)
            result = read_vasp(folder)
            ending = judge(result, atoms[order], self.bounds, ediff_ev(atoms, self.settings), printed)
            if ended.timed_out:
                words = f"VASP did not end within labelling.max_seconds = {self.settings.max_seconds} s"
                ending = Refusal("truncated", "infrastructure", words)
            attempts.append(_attempt(folder, changes, why, ending, result, ended))
            if ending.kind == "configuration":
                raise ConfigurationFault(f"{ending.reason} (in {folder})", "Check labelling, and INCAR in that folder")
            left -= ended.wall_seconds
            if ending.outcome != "scf_not_converged" or changes or left <= 0:
                return self._label(atoms, ending, result, order, attempts, titles, ranks)
            changes, why = {**_SECOND[0], "nelm": 2 * self.settings.electron_maxstep}, _SECOND[1]

    def _run(self, folder: Path, limit_seconds: float, ranks: int) -> tuple[Ended, str]:
        words = self._words
        if ranks > 1:
            words = [*shlex.split(self.settings.launcher.format(ranks=ranks)), *words]
        ended = run_process(words, folder, limit_seconds)
        said = []
        for old, new in (("pw.out", "vasp.out"), ("pw.err", "vasp.err")):
            (folder / old).rename(folder / new)
            said.append((folder / new).read_text(encoding="utf-8", errors="replace"))
        for large in ("WAVECAR", "CHGCAR", "CHG", "PROCAR", "DOSCAR"):
            (folder / large).unlink(missing_ok=True)
        return ended, "\n".join(said)

    def _label(
        self, atoms: Atoms, ending: Refusal, result: VaspResult, order: list[int], attempts: list[Attempt],
        titles: Mapping[str, str], ranks: int,
    ) -> Label:  # fmt: skip
        numbers: dict[str, Any] = {}
        if ending.kind == "ok" and result.forces is not None and result.stress is not None:
            back = np.argsort(order)  # files are sorted by species
            moments = result.site_moments
            numbers = {
                "energy_ev": result.energy_ev,
                "forces": [tuple(map(float, force)) for force in result.forces[back]],
                "stress": tuple(map(float, result.stress)),
                "magmoms": [moments[k] for k in back] if moments and len(moments) == len(atoms) else None,
                "total_magnetization": result.total_magnetization,
            }
        counts, shift = mesh(atoms, self.settings)
        wall = sum(one.wall_seconds for one in attempts)
        return Label(
            accepted=bool(numbers),
            outcome=ending.outcome,
            kind=ending.kind,
            reason=ending.reason,
            natoms=len(atoms),
            uid=atoms.info.get("uid"),
            attempts=attempts,
            output_file=f"{attempts[-1].folder}/OUTCAR" if attempts and result.version else None,
            engine=self.name,
            engine_version=result.version,
            cpu_seconds=round(sum(one.cpu_seconds for one in attempts), 3),
            wall_seconds=round(wall, 3),
            ranks=ranks,
            core_seconds=round(wall * ranks, 3),
            settings={
                "surface": self.settings.surface(),
                "untested": UNTESTED,
                "data_sets": dict(titles),
                "kpoints": counts,
                "kshift": shift,
                "ediff_ev": ediff_ev(atoms, self.settings),
                "command": self.settings.command,
            },
            **numbers,
        )


def _attempt(
    folder: Path, changes: Mapping[str, Any], why: str, ending: Refusal, result: VaspResult, ended: Ended
) -> Attempt:
    return Attempt.model_validate(
        {
            "folder": folder.name,
            "changed": dict(changes),
            "why": why,
            "outcome": ending.outcome,
            "reason": ending.reason,
            "scf_iterations": result.scf_steps,
            "cpu_seconds": result.cpu_seconds,
            "wall_seconds": round(ended.wall_seconds, 3),
            "exit_code": ended.exit_code,
            "memory_mb": result.memory_mb,
        }
    )
