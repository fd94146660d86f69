"""Running pw.x on one frame, attempt by attempt, until there is a label or a reason why not."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from ase import Atoms

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.input import (
    EspressoSettings,
    conv_thr_ry,
    is_isolated_atom,
    mesh,
    pw_input,
    spin_states,
    valence_electrons,
)
from mlip_autopipec.labelling.espresso.output import PwResult, read_pw_output
from mlip_autopipec.labelling.espresso.recovery import Rung, next_rung
from mlip_autopipec.labelling.espresso.verdict import Limits, Verdict, close_pair, judge
from mlip_autopipec.labelling.labeller import Attempt, Label
from mlip_autopipec.processes import die_with_parent

GRACE_SECONDS = 60.0  # pw.x gets this long after max_seconds to finish its iteration and write
RUNGS_MAX = 5
RERUNS_MAX = 1  # of the same input, after the machine failed and not the physics
_MEND = {
    "pseudo_missing": "Check labelling.pseudo_dir and labelling.pseudopotentials",
    "bad_input": "Check the labelling section of the config, and pw.in and pw.out in that folder",
    "truncated": "Set labelling.command to the way pw.x is started here",
}


class Ended(NamedTuple):
    """How a process ended: its exit code (negative: signal) and whether the hard time limit ended it."""

    exit_code: int
    timed_out: bool
    wall_seconds: float


class Ending(NamedTuple):
    """How the attempts on a frame, or on one spin state of an atom, ended: verdict, last run and its folder."""

    verdict: Verdict
    result: PwResult | None
    folder: str | None
    smeared: bool = False


class EspressoLabeller:
    """Labels frames with Quantum ESPRESSO's pw.x, one folder per frame, one subfolder per attempt."""

    name = "espresso"

    def __init__(self, settings: EspressoSettings, limits: Limits | None = None) -> None:
        """Check what every frame will need.

        Raises:
            ConfigurationFault: pw.x or a pseudopotential is not there.
        """
        self.settings, self.limits = settings, limits or Limits()
        self._command = command_words(settings.command)
        settings.check()

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> EspressoLabeller:
        """A labeller from the `labelling` section of the full configuration.

        Raises:
            ConfigurationFault: as the constructor.
        """
        defaults = asdict(Limits())
        limits = Limits(**{key: section.get(key, value) for key, value in defaults.items()})
        return cls(EspressoSettings.from_config(section), limits)

    def label(self, atoms: Atoms, workdir: Path) -> Label:
        """Label one frame. See `Labeller.label`; attempts of an earlier, killed run in `workdir` are removed.

        Of an isolated atom several spin states are tried and the lowest energy is kept; all of them stand in the
        label's settings as `spin_states`.
        """
        workdir = Path(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        for stale in workdir.glob("attempt_*"):
            shutil.rmtree(stale, ignore_errors=True)
        if close := close_pair(atoms, self.limits.minimum_distance_fraction):
            verdict = Verdict("atoms_too_close", "structure", close, False)
            return self._label(atoms, Ending(verdict, None, None), [], [])
        attempts: list[Attempt] = []
        if not is_isolated_atom(atoms):
            return self._label(atoms, self._ladder(atoms, workdir, attempts, None), attempts, [])
        endings: dict[int, Ending] = {}
        for moment in spin_states(str(atoms.symbols[0]), valence_electrons(atoms, self.settings)):
            if endings and self._left(attempts) <= 0:
                break
            try:
                endings[moment] = self._ladder(atoms, workdir, attempts, moment)
                if endings[moment].verdict.kind == "physics" and self._left(attempts) > 0:
                    endings[moment] = self._ladder(atoms, workdir, attempts, moment, smeared=True)
            except ConfigurationFault as fault:
                if not any(one.verdict.usable for one in endings.values()):
                    raise
                # the set-up was good for another state: what pw.x dislikes is this one
                endings[moment] = Ending(Verdict("bad_input", "physics", str(fault), False), None, None)
            if len(endings) == 1 and endings[moment].verdict.kind == "infrastructure":
                break  # the likeliest state failed for the machine's reasons: another one must not take its place
        return self._label(atoms, _lowest(endings), attempts, _told(endings))

    def _left(self, attempts: list[Attempt]) -> float:
        """Wall time that is left for this frame, s."""
        return self.settings.max_seconds - sum(attempt.wall_seconds for attempt in attempts)

    def _ladder(
        self, atoms: Atoms, workdir: Path, attempts: list[Attempt], moment: int | None, smeared: bool = False
    ) -> Ending:
        """Attempts until one ends well or nothing is left to try; `attempts` grows by them.

        An atom with whole occupations converges at once or hardly ever: it gets one attempt.
        """
        electrons = valence_electrons(atoms, self.settings)
        tried: list[dict[str, Any]] = []
        first = "first attempt" if moment is None else f"isolated atom with a moment of {moment} Bohr magnetons"
        if smeared:
            first += ", occupations smeared"
        rung, reruns = Rung({}, first), 0
        spin = (
            {} if moment is None else {"tot_magnetization": moment, "occupations": "smearing" if smeared else "fixed"}
        )
        rungs_max = RUNGS_MAX if moment is None or smeared else 0
        while True:
            folder = workdir / f"attempt_{len(attempts) + 1}"
            timed = replace(self.settings, max_seconds=max(math.ceil(self._left(attempts)), 1))
            text = pw_input(atoms, timed, changes=rung.changes, atom_moment=moment, atom_smeared=smeared)
            result, ended = self._run(text, folder, timed.max_seconds)
            verdict = self._verdict(result, ended, atoms)
            attempts.append(
                Attempt(
                    folder=folder.name,
                    changed={**spin, **rung.changes},
                    why=rung.why,
                    outcome=verdict.rejected_by or verdict.outcome,
                    reason=verdict.reason,
                    scf_iterations=result.text.iterations,
                    cpu_seconds=result.text.cpu_seconds,
                    wall_seconds=round(ended.wall_seconds, 3),
                    exit_code=ended.exit_code,
                )
            )
            if verdict.kind == "configuration":
                mend = _MEND.get(verdict.outcome, "Check the labelling section of the config")
                raise ConfigurationFault(f"{verdict.reason} (in {folder})", mend)
            following: Rung | None = None
            if verdict.kind == "infrastructure" and verdict.outcome != "stopped" and not ended.timed_out:
                if reruns < RERUNS_MAX:
                    reruns += 1
                    following = Rung(rung.changes, f"the same again: {verdict.reason}")
            elif verdict.kind == "physics" and len(tried) < rungs_max:
                tried.append(dict(rung.changes))
                maxstep = self.settings.electron_maxstep
                following = next_rung(result, verdict, tried, electrons=electrons, maxstep=maxstep)
            if following is None or self._left(attempts) <= 0:
                return Ending(verdict, result, folder.name, smeared)
            rung = following

    def _run(self, text: str, folder: Path, max_seconds: int) -> tuple[PwResult, Ended]:
        folder.mkdir(parents=True)
        (folder / "pw.in").write_text(text, encoding="utf-8")
        ended = run_process([*self._command, "-in", "pw.in"], folder, max_seconds + GRACE_SECONDS)
        xml = folder / "tmp" / "pwscf.save" / "data-file-schema.xml"
        result = read_pw_output(
            folder / "pw.out",
            exit_code=ended.exit_code,
            stderr=folder / "pw.err",
            crash=folder / "CRASH",
            xml=xml if xml.is_file() else None,
        )
        shutil.rmtree(folder / "tmp", ignore_errors=True)  # wavefunctions and density of every frame fill a disk
        return result, ended

    def _verdict(self, result: PwResult, ended: Ended, atoms: Atoms) -> Verdict:
        if ended.timed_out:
            seconds = self.settings.max_seconds
            words = (
                f"pw.x did not end within max_seconds = {seconds} s and was stopped; raise labelling.max_seconds and "
                "delete this frame's label to try it again"
            )
            return Verdict("truncated", "infrastructure", words, False)
        return judge(result, atoms, self.limits)

    def _label(
        self, atoms: Atoms, ending: Ending, attempts: list[Attempt], spin_states_tried: list[dict[str, Any]]
    ) -> Label:
        verdict, result, folder, _ = ending
        numbers: dict[str, Any] = {}
        if verdict.usable and result is not None and result.text.forces is not None and result.text.stress is not None:
            numbers = {
                "energy_ev": result.text.energy_ev,
                "forces": [tuple(map(float, force)) for force in result.text.forces],
                "stress": tuple(map(float, result.text.stress)),
                "magmoms": result.text.site_moments,
            }
        failed = [
            f"the isolated atom with a moment of {one['moment']} got no energy: {one['reason']}"
            for one in spin_states_tried
            if one["energy_ev"] is None
        ]
        failed += [
            f"the isolated atom was kept with smeared occupations (moment {one['moment']}): with whole ones it did not "
            "converge, and it may not be the ground state"
            for one in spin_states_tried
            if one["kept"] and one["occupations"] == "smearing"
        ]
        isolated = is_isolated_atom(atoms)
        return Label(
            accepted=verdict.usable,
            outcome=verdict.rejected_by or verdict.outcome,
            kind=verdict.kind,
            reason=verdict.reason,
            natoms=len(atoms),
            uid=atoms.info.get("uid"),
            warnings=[*(result.text.warnings if result else []), *failed],
            attempts=attempts,
            output_file=f"{folder}/pw.out" if folder else None,
            engine=self.name,
            engine_version=result.text.version if result else None,
            cpu_seconds=round(sum(a.cpu_seconds for a in attempts), 3),
            wall_seconds=round(sum(a.wall_seconds for a in attempts), 3),
            settings={
                "surface": self.settings.surface(),
                "isolated_atom": isolated,
                **(
                    {"spin_states": spin_states_tried} if isolated else {"kpoints": list(mesh(atoms, self.settings)[0])}
                ),
                "conv_thr_ry": conv_thr_ry(atoms, self.settings),
                "command": self.settings.command,
                "limits": asdict(self.limits),
            },
            **numbers,
        )


def _energy(ending: Ending) -> float:
    energy = ending.result.text.energy_ev if ending.verdict.usable and ending.result is not None else None
    return math.inf if energy is None else energy


def _lowest(endings: dict[int, Ending]) -> Ending:
    """The lowest of the spin states that have an energy, or the likeliest one where none has."""
    return min(endings.values(), key=_energy)


def _told(endings: dict[int, Ending]) -> list[dict[str, Any]]:
    """What became of each spin state, in the order they were tried."""
    kept = _lowest(endings)
    return [
        {
            "moment": moment,
            "occupations": "smearing" if one.smeared else "fixed",
            "energy_ev": _energy(one) if math.isfinite(_energy(one)) else None,
            "kept": one is kept and one.verdict.usable,
            "outcome": one.verdict.rejected_by or one.verdict.outcome,
            "reason": one.verdict.reason,
        }
        for moment, one in endings.items()
    ]


def command_words(command: str) -> list[str]:
    """The words of a command whose programs are on the PATH.

    Raises:
        ConfigurationFault: the command is empty, or its first word or its pw.x is not found.
    """
    words = shlex.split(command)
    programs = words[:1] + [w for w in words[1:] if Path(w).name.endswith("pw.x")]
    missing = next((w for w in programs if shutil.which(w) is None), None)
    if not words or missing is not None:
        raise ConfigurationFault(
            f"'{missing or command}' (labelling.command) is not found on the PATH",
            "Install Quantum ESPRESSO (Debian: quantum-espresso, conda-forge: qe), or give the path of pw.x",
        )
    return words


def run_process(words: list[str], folder: Path, limit_seconds: float) -> Ended:
    """Run a program in `folder`, its streams in pw.out and pw.err, on one thread, for a limited time.

    The program has a process group of its own, which is ended as a whole at the limit or when this process is
    interrupted; where the system allows it (Linux), it also dies with this process.
    """
    start = time.monotonic()
    with open(folder / "pw.out", "wb") as out, open(folder / "pw.err", "wb") as err:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=_environment(words),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        timed_out = False
        try:
            process.wait(timeout=limit_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _end_group(process)
    return Ended(process.returncode, timed_out, time.monotonic() - start)


def _environment(words: list[str]) -> dict[str, str]:
    """The environment of a run: one thread per rank, and no batch system for a pw.x that is started plainly.

    Inside a Slurm job step an MPI library takes a plainly started program for one of srun's ranks and gives up where
    it was built without Slurm's PMI (Debian's Open MPI). A launcher in front of pw.x needs those variables.
    """
    inherited = dict(os.environ)
    if Path(words[0]).name.endswith("pw.x"):
        inherited = {k: v for k, v in inherited.items() if not k.startswith(("SLURM_", "PMI_", "PMI2_", "PMIX_"))}
    return {**inherited, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
