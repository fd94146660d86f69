"""Random structure search: room for the atoms, symmetric crystals, seeds, and the ground states it must find."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from mlip_autopipec.config.full import Structures
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import pairs
from mlip_autopipec.structures.cells import space_group
from mlip_autopipec.structures.matching import SAME_CRYSTAL_ANGSTROM, same_structure
from mlip_autopipec.structures.random_search import draw, random_crystals
from mlip_autopipec.structures.spacing import spacing
from mlip_autopipec.structures.task import Task
from mlip_autopipec.surrogates import load_surrogate


def task_of(amounts: dict[str, float], kind: str, make_calculator: Any = EMT, seed: int = 1, **changes: Any) -> Task:
    settings: dict[str, Any] = {
        "sources": ["random"], "prototypes": [], "sqs_lattices": [], "sqs_atoms": [], "random_crystals": 8,
        "random_atoms_max": 4, "counts": {}, "atoms_max": 32, "rattle_amplitudes_angstrom": [0.05],
        "vacuum_angstrom": 8.0, "melt_temperature_k": 2000.0, "volume_strain_max": 0.15, "condensed_molecules": 4,
    }  # fmt: skip
    return Task(
        composition="".join(amounts),
        amounts=amounts,
        classes=(kind,),
        settings=Structures(**{**settings, **changes}),
        seed=seed,
        make_calculator=make_calculator,
    )


# Experimental shortest distances (A) and volumes of a formula unit (A^3) of known crystals.
@pytest.mark.parametrize(
    ("formula", "kind", "distances", "volume"),
    [
        ({"Na": 1, "Cl": 1}, "ionic", {("Na", "Cl"): 2.82, ("Na", "Na"): 3.99, ("Cl", "Cl"): 3.99}, 44.9),
        ({"Ti": 1, "O": 2}, "ionic", {("Ti", "O"): 1.95, ("Ti", "Ti"): 2.96, ("O", "O"): 2.53}, 31.2),
        ({"Ca": 1, "F": 2}, "ionic", {("Ca", "F"): 2.37, ("F", "F"): 2.73, ("Ca", "Ca"): 3.86}, 40.8),
        ({"Sr": 1, "Ti": 1, "O": 3}, "ionic", {("Ti", "O"): 1.95, ("Sr", "Ti"): 3.38, ("O", "O"): 2.76}, 59.5),
        ({"Ga": 1, "As": 1}, "covalent", {("Ga", "As"): 2.45}, 45.2),
        ({"C": 1}, "covalent", {("C", "C"): 1.42}, 5.67),
        ({"Fe": 1, "Pt": 1}, "alloy", {("Fe", "Pt"): 2.68, ("Fe", "Fe"): 2.72}, 27.6),
        ({"Ar": 1}, "noble", {("Ar", "Ar"): 3.75}, 37.5),
    ],
)
def test_known_crystals_have_the_room_that_is_asked(
    formula: dict[str, int], kind: str, distances: dict[tuple[str, str], float], volume: float
) -> None:
    room = spacing(formula, [kind])
    for pair, known in distances.items():
        assert 0.6 * known < room.shortest_angstrom[pair] < known
        assert room.shortest_angstrom[pair] == room.shortest_angstrom[pair[::-1]]
    assert room.spread[0] < volume / room.volume_angstrom3 < room.spread[1]


def test_ions_of_like_charge_are_kept_apart() -> None:
    formula, room = {"Na": 1, "Cl": 1}, spacing({"Na": 1, "Cl": 1}, ["ionic"])
    counts: Counter[str] = Counter()
    drawn = draw(formula, room, 8, 6, np.random.default_rng(2), counts)
    assert len(drawn) == counts["drawn"] == 6
    for atoms, _ in drawn:
        assert Counter(atoms.symbols)["Na"] == Counter(atoms.symbols)["Cl"] <= 4
        first, second, distance = pairs(atoms, 5.0)
        for i, j, d in zip(first, second, distance, strict=True):
            assert d > room.shortest_angstrom[atoms[i].symbol, atoms[j].symbol] - 1e-6
    for k, (atoms, _) in enumerate(drawn):
        assert not any(same_structure(atoms, other) for other, _ in drawn[:k])
    assert sum(space_group(atoms) != "P1" for atoms, _ in drawn) >= 5


def test_copper_is_found_to_be_close_packed_and_the_seed_decides() -> None:
    task = task_of({"Cu": 1.0}, "metal", random_atoms_max=2, random_crystals=5)
    found = random_crystals(task)
    assert space_group(found[0]) in ("Fm-3m", "P6_3/mmc")
    assert found[0].cell.volume / len(found[0]) == pytest.approx(11.57, rel=0.02)  # EMT's fcc
    assert [frame.info["prototype"] for frame in found] == [f"random-{k:02d}" for k in range(1, len(found) + 1)]
    assert {frame.info["config_type"] for frame in found} == {"crystal"}
    assert "drawn: 5" in found[0].info["origin"]
    for k, frame in enumerate(found):
        assert not any(same_structure(frame, other, SAME_CRYSTAL_ANGSTROM) for other in found[:k])
    again, other = (
        random_crystals(task),
        random_crystals(task_of({"Cu": 1.0}, "metal", random_atoms_max=2, random_crystals=5, seed=2)),
    )
    assert [frame.info["uid"] for frame in again] == [frame.info["uid"] for frame in found]
    assert [frame.info["uid"] for frame in other] != [frame.info["uid"] for frame in found]


def test_rock_salt_or_a_near_relative_is_found_for_sodium_chloride() -> None:
    task = task_of({"Na": 1.0, "Cl": 1.0}, "ionic", lambda: load_surrogate("sevennet-0"), random_crystals=4)
    found = random_crystals(task)
    assert {space_group(frame) for frame in found} & {"Fm-3m", "Pm-3m"}


def test_fractions_and_formulas_that_do_not_fit_have_no_random_crystals() -> None:
    assert random_crystals(task_of({"Cu": 0.9, "Al": 0.1}, "alloy")) == []
    assert random_crystals(task_of({"Cu": 3.0, "Al": 2.0}, "alloy")) == []
    assert random_crystals(task_of({"Cu": 1.0}, "metal", random_crystals=0)) == []


class Collapsing(Calculator):
    """Pulls every pair together without end."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms: Atoms | None = None, *args: Any) -> None:
        super().calculate(atoms, *args)
        volume = self.atoms.get_volume()
        self.results = {
            "energy": volume,
            "forces": np.zeros((len(self.atoms), 3)),
            "stress": np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
        }


def test_a_surrogate_that_collapses_everything_is_reported() -> None:
    with pytest.raises(DataError, match=r"no random crystal of Cu survived.*collapsed or flew apart: 3"):
        random_crystals(task_of({"Cu": 1.0}, "metal", Collapsing, random_crystals=3))
