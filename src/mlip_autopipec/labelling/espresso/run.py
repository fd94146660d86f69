"""The labeller that runs pw.x: every starting state of a frame climbs the ladder, the lowest energy is the label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase import Atoms

from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.labelling.espresso.input import conv_thr_ry, mesh
from mlip_autopipec.labelling.espresso.ladder import Climb, Ending, Route
from mlip_autopipec.labelling.espresso.magnetic import State, atom_state, branch_of, plan
from mlip_autopipec.labelling.espresso.process import command_words, launch_words
from mlip_autopipec.labelling.espresso.settings import EspressoSettings, is_isolated_atom
from mlip_autopipec.labelling.espresso.states import Tried, cannot_win, decide, doubts, rows, spin_rows, what
from mlip_autopipec.labelling.espresso.verdict import Limits, Verdict, close_pair, last_band_occupation
from mlip_autopipec.labelling.labeller import Attempt, Label


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
        spin_states = any(state.total is not None for state in states)
        shared = len(states) > 1 and not spin_states
        with closing(Climb(atoms, self.settings, self.limits, workdir, words, time, shared)) as climb:
            tried = (self._spin_states if spin_states else self._all_states)(climb, states, left_out)
        return self._label(atoms, tried, climb.attempts, ranks, left_out)

    def _all_states(self, climb: Climb, states: Sequence[State], left_out: dict[str, str]) -> list[Tried]:
        """Every state's first attempt, and only then the ladders of those that failed and may still be the lowest.

        Where the machine fails or the time is over for one state there is no label yet, for that state may be the
        lowest: nothing further is tried, and a retry reads again what has ended. `left_out` grows by the states that
        were not reached.
        """
        routes: list[Route] = []
        for number, state in enumerate(states):
            if routes and not climb.left():
                routes.append(Route(state, ending=_no_time(climb, state)))
            else:
                routes.append(self._first(climb, state, routes))
            if routes[-1].ending.verdict.kind == "infrastructure":
                left_out |= {later.name: f"{state.name} has no result yet" for later in states[number + 1 :]}
                return [Tried(route.state, climb.end(route)) for route in routes]

        def in_vain(ending: Ending) -> bool:
            best = min(Tried(route.state, route.ending).energy_ev for route in routes)
            return cannot_win(ending, best, len(climb.atoms))

        for route in (*routes, *routes):  # the second time for what a later state has shown to be in vain
            climb.further(route, in_vain)
            if route.ending.verdict.kind == "infrastructure":
                break
        return [Tried(route.state, climb.end(route)) for route in routes]

    def _first(self, climb: Climb, state: State, before: Sequence[Route]) -> Route:
        try:
            return climb.first(state)
        except ConfigurationFault as fault:
            if not any(route.ending.verdict.usable for route in before):
                raise
            # the set-up was good for another state: what pw.x dislikes is this one
            return Route(state, ending=Ending(Verdict("bad_input", "physics", str(fault), False)))

    def _spin_states(self, climb: Climb, states: Sequence[State], left_out: dict[str, str]) -> list[Tried]:
        """The same of an isolated atom, whose states that do not converge with whole occupations are smeared."""
        tried: list[Tried] = []
        for number, state in enumerate(states):
            if tried and not climb.left():
                tried.append(Tried(state, _no_time(climb, state)))
            else:
                tried.append(self._spin_state(climb, state, any(one.ending.verdict.usable for one in tried)))
            if tried[-1].ending.verdict.kind == "infrastructure":
                left_out |= {later.name: f"{state.name} has no result yet" for later in states[number + 1 :]}
                break
        return tried

    def _spin_state(self, climb: Climb, state: State, set_up_is_good: bool) -> Tried:
        try:
            ending = climb.from_state(state)
            if state.whole and state.total is not None and ending.verdict.kind == "physics":
                state = atom_state(state.total, whole=False)
                ending = climb.from_state(state) if climb.left() else _no_time(climb, state)
        except ConfigurationFault as fault:
            if not set_up_is_good:
                raise
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
        kept, verdict = decide(tried, len(atoms))
        _, result, folder = kept.ending
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
        trained_on = kept if verdict.usable else None
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
            warnings=[*(text.warnings if text else []), *doubts(tried, kept, len(atoms))],
            attempts=attempts,
            output_file=f"{folder}/pw.out" if folder else None,
            engine=self.name,
            engine_version=text.version if text else None,
            cpu_seconds=round(sum(attempt.cpu_seconds for attempt in attempts), 3),
            wall_seconds=round(wall, 3),
            ranks=ranks,
            core_seconds=round(wall * ranks, 3),
            states=rows(tried, trained_on, left_out) if attempts else [],
            total_magnetization=text.total_magnetization if text else None,
            absolute_magnetization=text.absolute_magnetization if text else None,
            scf_accuracy_ry=text.scf_accuracy_ry if text else None,
            conv_thr_ry=text.conv_thr_ry if text else None,
            scf_correction_ev_per_angstrom=text.scf_correction if text else None,
            last_band_occupation=last_band_occupation(result) if result else None,
            settings={
                "surface": self.settings.surface(),
                "isolated_atom": isolated,
                **({"spin_states": spin_rows(tried, trained_on)} if isolated else {"kpoints": points}),
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


def _no_time(climb: Climb, state: State) -> Ending:
    words = f"{climb.time_words} was over before {what(state)} could be tried"
    return Ending(Verdict("stopped", "infrastructure", words, False))
