"""Rules: how many structures of each kind, how many labels, and how many frames are chosen."""

from __future__ import annotations

from mlip_autopipec.config.kinds import GENERATORS
from mlip_autopipec.config.rules import FOLLOWS, OURS, Known, rule

# Shares of the structures beside volumes and strains, by class. The reasons: crystals are learned from rattles at many
# volumes; liquids and glasses from melts; what breaks and mends from defects, surfaces and stretched bonds.
SHARES: dict[str, dict[str, float]] = {
    "metal": {"rattles": 40, "bonds": 5, "vacancies": 10, "interstitials": 10, "surfaces": 15, "melt": 20},
    "alloy": {"rattles": 35, "bonds": 5, "vacancies": 10, "interstitials": 5, "antisites": 15, "surfaces": 10,
              "melt": 20},
    "ionic": {"rattles": 45, "bonds": 5, "vacancies": 10, "interstitials": 5, "antisites": 5, "surfaces": 10,
              "melt": 15, "quench": 5},
    "covalent": {"rattles": 35, "bonds": 15, "vacancies": 5, "interstitials": 5, "surfaces": 10, "melt": 15,
                 "quench": 15},
    "molecular": {"normal_modes": 30, "stretches": 15, "dimers": 20, "clusters": 10, "condensed": 25,
                  "rattles": 20},  # of a molecular crystal, when its file is given
    "noble": {"rattles": 30, "vacancies": 5, "surfaces": 5, "melt": 30, "dimers": 20, "clusters": 10},
}  # fmt: skip
STEPS_PER_MELT_FRAME = 15  # of melt_steps; frames nearer in time are alike
CRYSTALLINE = frozenset(GENERATORS) - {"normal_modes", "stretches", "dimers", "clusters", "condensed"}


@rule("active_learning.labels_first", OURS)
def labels_grow_with_the_elements(known: Known) -> tuple[int, str]:
    n = len(known.amounts)
    wanted = 60 + 60 * n
    if known.is_written("active_learning.label_budget"):
        most = max(1, round(0.5 * known["active_learning.label_budget"]))
        if most < wanted:
            return most, "half of the budget that is written"
    return wanted, f"60 + 60 for each element ({n}): pairs and triples of elements have to be seen"


@rule("active_learning.labels_per_generation", OURS)
def a_third_of_the_first_labels(known: Known) -> tuple[int, str]:
    return max(1, round(known["active_learning.labels_first"] / 3)), "a third of the first labels"


@rule("active_learning.label_budget", OURS)
def budget_of_some_generations(known: Known) -> tuple[int, str]:
    first, more = known["active_learning.labels_first"], known["active_learning.labels_per_generation"]
    return first + 7 * more, "the first labels and seven full generations"


@rule("sampling.candidates", FOLLOWS)
def candidates_are_the_first_labels(known: Known) -> tuple[int, str]:
    return known["active_learning.labels_first"], "as many as generation 0 labels"


@rule("structures.counts", OURS, completes=True)
def counts_by_class_elements_and_labels(known: Known) -> tuple[dict[str, int], str]:
    if known["structures.alone"]:
        return dict.fromkeys(GENERATORS, 0), "only your own files are used"
    labels, sources = known["active_learning.labels_first"], known["structures.sources"]
    crystals = set(sources) - {"molecule"}
    counts = dict.fromkeys(GENERATORS, 0)
    if crystals:
        counts["volumes"] = min(15, max(5, round(labels / 13) // 2 * 2 + 1))
        counts["strains"] = 6 * min(3, max(1, round(labels / 60)))
    pool = 2 * labels - counts["volumes"] - counts["strains"]
    usable = {
        name: share
        for name, share in shares(known.classes).items()
        if (crystals if name in CRYSTALLINE else "molecule" in sources)
        and (name != "antisites" or len(known.amounts) > 1)
    }
    for name, share in usable.items():
        counts[name] = max(1, round(pool * share / sum(usable.values())))
    most = max(1, known["structures.melt_steps"] // STEPS_PER_MELT_FRAME)
    for name in {"melt", "quench"} & set(usable):
        counts["rattles"] += max(0, counts[name] - most)
        counts[name] = min(counts[name], most)
    told = "a molecule's motions, pairs and packings" if not crystals else (
        "volumes and the six strains for elastic constants; the rest"
    )  # fmt: skip
    return counts, (
        f"twice the {labels} first labels, of which the diverse ones are labelled: {told} shared as for "
        f"{', '.join(known.classes)} with {len(known.amounts)} element{'s' * (len(known.amounts) > 1)}"
    )


def shares(classes: list[str]) -> dict[str, float]:
    """Shares of the generators, adding up to 1: the mean of the classes', the first counting twice."""
    weights = [2.0] + [1.0] * (len(classes) - 1)
    total: dict[str, float] = {}
    for material_class, weight in zip(classes, weights, strict=True):
        for name, share in SHARES[material_class].items():
            total[name] = total.get(name, 0.0) + weight * share / sum(SHARES[material_class].values())
    return {name: share / sum(weights) for name, share in total.items()}
