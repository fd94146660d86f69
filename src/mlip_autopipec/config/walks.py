"""The walkers of a run: their names, and what each one does."""

from __future__ import annotations

from dataclasses import dataclass

from mlip_autopipec.config.exploring import Exploration

MOVING_KINDS = frozenset({"heat", "quench", "swaps", "cells"})  # their cells may move where there is no vacuum

# Settings that change nothing for a walk whose plan is given: another walker, or another device, leaves it as it is.
OF_THE_PLANS = frozenset(
    {"temperatures_k", "pressures_gpa", "walkers_per_temperature", "steps", "walks", "hottest_k", "device"}
)


@dataclass(frozen=True)
class Walk:
    """What one walker does.

    Attributes:
        name: with the seed it decides everything random.
        kind: md, or one of `kinds.WALKS`.
        temperature_k: temperature, K.
        steps: MD steps; of relaxation paths evaluations.
        temperature_end_k: where the temperature goes to, evenly, K; None: it stays.
        pressure_gpa: pressure that a moving cell is kept at, GPa.
        may_change_cell: whether the cell moves where there is no vacuum.
    """

    name: str
    kind: str
    temperature_k: float
    steps: int
    temperature_end_k: float | None = None
    pressure_gpa: float = 0.0
    may_change_cell: bool = False

    @property
    def words(self) -> str:
        """What it does, in a few words."""
        kind = "MD" if self.kind == "md" else self.kind
        end = "" if self.temperature_end_k is None else f" to {self.temperature_end_k:.0f}"
        pressure = f", {self.pressure_gpa:g} GPa" if self.may_change_cell else ""
        return f"{kind}, {self.temperature_k:.0f}{end} K{pressure}"


def md_walks(
    exploration: Exploration, temperatures_k: list[float], replicas: int = 1, steps: int | None = None
) -> dict[str, Walk]:
    """Walkers of plain molecular dynamics by name: ``T0300-0``, ``T0300-1``, ``T0800-0`` ...

    With the barostat on auto every second one of a temperature may move its cell; pressures are taken in turn.
    """
    found: dict[str, Walk] = {}
    barostat, pressures = exploration.barostat, exploration.pressures_gpa
    moved = 0
    for temperature in temperatures_k:
        for n in range(replicas):
            moves = barostat != "none" and (barostat != "auto" or n % 2 == 1)
            pressure = pressures[moved % len(pressures)] if moves else 0.0
            moved += moves
            name = f"T{temperature:04.0f}-{n}"
            found[name] = Walk(name, "md", temperature, steps or exploration.steps, None, pressure, moves)
    return found


def walk_plans(exploration: Exploration) -> dict[str, Walk]:
    """All explorers of a run by name: plain molecular dynamics first, then ``heat-0``, ``swaps-0``, ...

    Swaps and moves of the cell take the temperatures below the hottest in turn, from hot to cold, because little is
    accepted in the cold; strains and paths go at the lowest.
    """
    s = exploration
    found = md_walks(s, s.temperatures_k, s.walkers_per_temperature)
    ladder = sorted(s.temperatures_k, reverse=True)
    below = ladder[1:] or ladder
    for kind, number in s.walks.items():
        for n in range(number):
            name = f"{kind}-{n}"
            moves = kind in MOVING_KINDS and s.barostat != "none"
            start, end = ladder[-1], None
            if kind == "heat":
                end = s.hottest_k
            elif kind == "quench":
                start, end = s.hottest_k, ladder[-1]
            elif kind in ("swaps", "cells"):
                start = below[n % len(below)]
            pressure = s.pressures_gpa[n % len(s.pressures_gpa)] if moves or kind == "paths" else 0.0
            found[name] = Walk(name, kind, start, s.steps, end, pressure, moves or kind == "cells")
    return found
