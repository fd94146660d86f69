"""The labeller that runs pw.x: every starting state of a frame climbs the ladder, the lowest energy is the label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ase import Atoms

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.input import conv_thr_ry, mesh
from mlip_autopipec.labelling.espresso.ladder import Climb, Ending
from mlip_autopipec.labelling.espresso.magnetic import State, atom_state, branch_of, lowest, plan
from mlip_autopipec.labelling.espresso.process import command_words, launch_words
from mlip_autopipec.labelling.espresso.settings import EspressoSettings, is_isolated_atom
from mlip_autopipec.labelling.espresso.verdict import Limits, Verdict, close_pair, last_band_occupation
from mlip_autopipec.labelling.labeller import Attempt, Label


class Tried(NamedTuple):
    """A starting state and how its attempts ended."""

    state: State
    ending: Ending

    @property
    def energy_ev(self) -> float:
        """Energy of the state, infinite where it has none that may train."""
        verdict, result, _ = self.ending
        energy = result.text.energy_ev if verdict.usable and result is not None else None
        return math.inf if energy is None else energy


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

    def label(
        self,
        atoms: Atoms,
        workdir: Path,
        *,
        ranks: int = 1,
        seconds: float | None = None,
        states: Sequence[State] | None = None,
    ) -> Label:
        """Label one frame. See `Labeller.label`.

        Attempts that an earlier call left in `workdir` are read again where they ended, go on from their density where
        their time was over, and are removed where they were killed.

        Args:
            ranks: MPI ranks of each pw.x.
            seconds: wall time that is left in this job; never more than `max_seconds` of the settings is used.
            states: where the moments start, in place of `magnetic.starting_states`.
        """
        workdir = Path(workdir).absolute()
        workdir.mkdir(parents=True, exist_ok=True)
        left_out: dict[str, str] = {}
        if close := close_pair(atoms, self.limits.minimum_distance_fraction):
            verdict = Verdict("atoms_too_close", "structure", close, False)
            return self._label(atoms, [Tried(State(""), Ending(verdict))], [], ranks, left_out)
        if states is None:
            states, left_out = plan(atoms, self.settings)
        words = launch_words(self._command, self.settings.launcher, ranks, kpoints_computed(atoms, self.settings))
        time = min(self.settings.max_seconds, math.inf if seconds is None else seconds)
        with closing(Climb(atoms, self.settings, self.limits, workdir, words, time)) as climb:
            tried = self._all_states(climb, states, left_out)
        return self._label(atoms, tried, climb.attempts, ranks, left_out)

    def _all_states(self, climb: Climb, states: Sequence[State], left_out: dict[str, str]) -> list[Tried]:
        """Climb from each state; `left_out` grows by those for which there was no time.

        Where the job's time was over, and not the label's, there is no label yet: another job goes on, and a state that
        it may find to be lower must not be left out.
        """
        tried: list[Tried] = []
        for state in states:
            if tried and not climb.left():
                left_out[state.name] = "no time was left"
                if climb.of_job:
                    words = f"the job's time was over before the starting state {state.name} could be tried"
                    return [Tried(state, Ending(Verdict("stopped", "infrastructure", words, False)))]
                continue
            one = self._one_state(climb, state, any(earlier.ending.verdict.usable for earlier in tried))
            if one.ending.verdict.kind == "infrastructure" and climb.of_job and not climb.left():
                return [one]
            tried.append(one)
            if len(tried) == 1 and one.ending.verdict.kind == "infrastructure":
                break  # the likeliest state failed for the machine's reasons: another one must not take its place
        return tried

    def _one_state(self, climb: Climb, state: State, set_up_is_good: bool) -> Tried:
        try:
            ending = climb.from_state(state)
            if state.whole and state.total is not None and ending.verdict.kind == "physics" and climb.left():
                state = atom_state(state.total, whole=False)
                ending = climb.from_state(state)
        except ConfigurationFault as fault:
            if not set_up_is_good:
                raise
            # the set-up was good for another state: what pw.x dislikes is this one
            ending = Ending(Verdict("bad_input", "physics", str(fault), False))
        return Tried(state, ending)

    def _label(
        self,
        atoms: Atoms,
        tried: list[Tried],
        attempts: list[Attempt],
        ranks: int,
        left_out: Mapping[str, str],
    ) -> Label:
        kept = tried[lowest([one.energy_ev for one in tried], len(atoms))]
        verdict, result, folder = kept.ending
        text = result.text if result is not None else None
        numbers: dict[str, Any] = {}
        if verdict.usable and text is not None and text.forces is not None and text.stress is not None:
            numbers = {
                "energy_ev": text.energy_ev,
                "forces": [tuple(map(float, force)) for force in text.forces],
                "stress": tuple(map(float, text.stress)),
                "magmoms": text.site_moments,
                "branch": branch_of(kept.state),
            }
        isolated = is_isolated_atom(atoms)
        points = list(mesh(atoms, self.settings)[0])
        wall = sum(attempt.wall_seconds for attempt in attempts)
        return Label(
            accepted=verdict.usable,
            outcome=verdict.rejected_by or verdict.outcome,
            kind=verdict.kind,
            reason=verdict.reason,
            natoms=len(atoms),
            uid=atoms.info.get("uid"),
            warnings=[*(text.warnings if text else []), *_doubts(tried, kept, left_out)],
            attempts=attempts,
            output_file=f"{folder}/pw.out" if folder else None,
            engine=self.name,
            engine_version=text.version if text else None,
            cpu_seconds=round(sum(attempt.cpu_seconds for attempt in attempts), 3),
            wall_seconds=round(wall, 3),
            ranks=ranks,
            core_seconds=round(wall * ranks, 3),
            states=_states(tried, kept, left_out) if attempts else [],
            total_magnetization=text.total_magnetization if text else None,
            absolute_magnetization=text.absolute_magnetization if text else None,
            scf_accuracy_ry=text.scf_accuracy_ry if text else None,
            conv_thr_ry=text.conv_thr_ry if text else None,
            scf_correction_ev_per_angstrom=text.scf_correction if text else None,
            last_band_occupation=last_band_occupation(result) if result else None,
            settings={
                "surface": self.settings.surface(),
                "isolated_atom": isolated,
                **({"spin_states": _spin_states(tried, kept)} if isolated else {"kpoints": points}),
                "conv_thr_ry": conv_thr_ry(atoms, self.settings),
                "command": self.settings.command,
                "limits": asdict(self.limits),
            },
            **numbers,
        )


def kpoints_computed(atoms: Atoms, settings: EspressoSettings) -> int:
    """k-points that pw.x computes: those of the mesh, of which k and -k are one (symmetry is off)."""
    if is_isolated_atom(atoms):
        return 1
    counts, offsets = mesh(atoms, settings)
    # the partner of point i of n is n - i, or n - 1 - i on a mesh that is shifted by half a step
    partners = [[(-i - shift) % n for i in range(n)] for n, shift in zip(counts, offsets, strict=True)]
    points = itertools.product(*(range(n) for n in counts))
    return len({min(k, tuple(p[i] for p, i in zip(partners, k, strict=True))) for k in points})


def _doubts(tried: list[Tried], kept: Tried, left_out: Mapping[str, str]) -> list[str]:
    """Warnings about the starting states."""
    told = []
    for one in tried:
        atom = one.state.total is not None
        what = f"the isolated atom with a moment of {one.state.total}" if atom else f"starting state {one.state.name}"
        if len(tried) > 1 and not math.isfinite(one.energy_ev):
            told.append(f"{what} got no energy: {one.ending.verdict.reason}")
        if one is kept and one.ending.verdict.usable and atom and not one.state.whole:
            told.append(
                f"the isolated atom was kept with smeared occupations (moment {one.state.total}): with whole ones it "
                "did not converge, and it may not be the ground state"
            )
    return told + [f"starting state {name} was left out: {why}" for name, why in left_out.items() if "time" in why]


def _states(tried: list[Tried], kept: Tried, left_out: Mapping[str, str]) -> list[dict[str, Any]]:
    """What became of each starting state, in the order they were tried, and why others were left out."""
    told: list[dict[str, Any]] = []
    for one in tried:
        verdict, result, _ = one.ending
        text = result.text if result is not None and verdict.usable else None
        told.append(
            {
                "name": one.state.name,
                "start": None if one.state.site_moments is None else list(one.state.site_moments),
                "energy_ev": one.energy_ev if math.isfinite(one.energy_ev) else None,
                "total_magnetization": text.total_magnetization if text else None,
                "absolute_magnetization": text.absolute_magnetization if text else None,
                "outcome": verdict.rejected_by or verdict.outcome,
                "reason": verdict.reason,
                "kept": one is kept and verdict.usable,
            }
        )
    return told + [
        {"name": name, "outcome": "not_tried", "reason": why, "kept": False} for name, why in left_out.items()
    ]


def _spin_states(tried: list[Tried], kept: Tried) -> list[dict[str, Any]]:
    """The same of an isolated atom, by its moment."""
    return [
        {
            "moment": one.state.total,
            "occupations": "fixed" if one.state.whole else "smearing",
            "energy_ev": one.energy_ev if math.isfinite(one.energy_ev) else None,
            "kept": one is kept and one.ending.verdict.usable,
            "outcome": one.ending.verdict.rejected_by or one.ending.verdict.outcome,
            "reason": one.ending.verdict.reason,
        }
        for one in tried
    ]
