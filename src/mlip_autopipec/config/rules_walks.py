"""Rules: which surrogate explores, and which walkers beside plain molecular dynamics."""

from __future__ import annotations

from mlip_autopipec.config.kinds import WALKS
from mlip_autopipec.config.label_source import SURROGATE_NAMES
from mlip_autopipec.config.rules import FOLLOWS, OURS, Known, rule
from mlip_autopipec.surrogates import weights

# What plain MD at constant volume does not reach in picoseconds, by class: melting and thermal expansion (heat),
# glasses (quench), order and disorder (swaps), shapes of the cell (strains), other structures (paths).
BY_CLASS: dict[str, dict[str, int]] = {
    "metal": {"heat": 1, "strains": 1},
    "alloy": {"heat": 1, "swaps": 2, "strains": 1},
    "ionic": {"heat": 1, "strains": 1, "paths": 1},
    "covalent": {"heat": 1, "quench": 1, "strains": 1, "paths": 1},
    "molecular": {},
    "noble": {"heat": 1, "cells": 1, "strains": 1},
}
MATBENCH = "MACE-MPA-0 before SevenNet-0: Matbench Discovery, Riebesell et al., Nat. Mach. Intell. 7, 836 (2025)"


@rule("exploration.surrogate", MATBENCH)
def best_surrogate_that_is_here(known: Known) -> tuple[str, str]:
    if weights.cached("mace-mp") is not None:
        return "mace-mp", f"{SURROGATE_NAMES['mace-mp']}: its weights are on this machine"
    return "sevennet-0", (
        "its weights come with its package; those of mace-mp are not on this machine "
        "(python -m mlip_autopipec.surrogates fetch mace-mp)"
    )


@rule("exploration.walks", OURS, completes=True)
def walks_by_class(known: Known) -> tuple[dict[str, int], str]:
    counts = dict.fromkeys(WALKS, 0)
    if not set(known["structures.sources"]) - {"molecule"}:
        return counts, "molecules must not break or mix: plain MD only"
    for name in known.classes:
        for kind, number in BY_CLASS[name].items():
            counts[kind] = max(counts[kind], number)
    if len(known.amounts) == 1:
        counts["swaps"] = 0
    if "molecular" in known.classes:  # their random structures and large strains tear molecules apart
        counts["paths"] = counts["strains"] = 0
    return counts, f"what plain MD does not reach in picoseconds, for {', '.join(known.classes)}"


@rule("exploration.hottest_k", FOLLOWS)
def as_hot_as_melts_are_made(known: Known) -> tuple[float, str]:
    hottest = max(known["exploration.temperatures_k"])
    if not any(known["exploration.walks"][kind] for kind in ("heat", "quench")):
        return hottest, "the hottest walker's: none heats or quenches"
    melt = float(known["structures.melt_temperature_k"])
    return max(hottest, melt), "structures.melt_temperature_k, or the hottest walker's if that is hotter"
