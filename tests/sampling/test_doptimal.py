"""The sampler d-optimal: sees one odd atom, never takes what is known, tells more than chance, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.errors import DataError
from mlip_autopipec.sampling import doptimal
from mlip_autopipec.sampling.doptimal import Projector, add, d_optimal, moderate_basis, most_informative
from mlip_autopipec.sampling.samplers import ArrayFeatures, Choice, sampler


def rattled(seed: int, amplitude: float = 0.05, element: str = "Cu", copies: int = 2) -> Atoms:
    atoms = bulk(element, cubic=True) * (copies, copies, copies)
    atoms.rattle(amplitude, seed=seed)
    return atoms


def choose(pool: list[Atoms], number: int, seen: list[Atoms] | None = None) -> Choice:
    return d_optimal(
        ArrayFeatures(np.zeros((len(pool), 1))),
        number,
        frames=lambda indices: [pool[k] for k in indices],
        seen_frames=seen,
    )


def information(frames: list[Atoms], pool: list[Atoms]) -> float:
    """log det of what `frames` tell, in nats above the prior."""
    projector = Projector.of(moderate_basis(sorted({s for atoms in pool for s in atoms.symbols})), pool)
    matrices = projector.prior()
    before = sum(np.linalg.slogdet(matrix)[1] for matrix in matrices)
    for atoms in frames:
        add(matrices, projector.piece(0, atoms))
    return float(sum(np.linalg.slogdet(matrix)[1] for matrix in matrices) - before) / 2


def test_it_is_found_by_its_name() -> None:
    assert sampler("d-optimal") is d_optimal


def test_one_vacancy_in_a_large_cell_is_chosen_among_many_whole_ones() -> None:
    pool = [rattled(seed, copies=3) for seed in range(30)]
    del pool[17][54]  # 12 of 107 atoms lack a neighbour
    choice = choose(pool, 2)
    assert 17 in choice.indices
    assert "atom" in choice.why[list(choice.indices).index(17)]


def test_one_atom_of_another_element_is_chosen_first_and_named() -> None:
    pool = [rattled(seed) for seed in range(20)]
    pool[11].symbols[5] = "Au"
    choice = choose(pool, 3)
    assert choice.indices[0] == 11
    assert "(Au" in choice.why[0] or "(Cu" in choice.why[0]


def test_frames_that_are_known_and_their_like_are_not_chosen_again() -> None:
    calm, wild = [rattled(seed, 0.02) for seed in range(10)], [rattled(seed, 0.25) for seed in range(10, 14)]
    pool = calm + wild
    assert set(choose(pool, 3).indices) <= {10, 11, 12, 13}
    seen = [*(rattled(seed, 0.25) for seed in range(20, 60)), pool[12]]
    again = choose(pool, len(pool), seen)
    assert 12 not in again.indices  # the same frame
    assert sorted(again.indices) == [k for k in range(14) if k != 12]
    assert float(again.why[0].split()[1]) < float(choose(pool, 1).why[0].split()[1]) / 5


def test_it_tells_more_than_the_best_of_random_choices() -> None:
    random = np.random.default_rng(3)
    pool = [rattled(seed, 0.03 if seed % 20 else 0.2, copies=1) for seed in range(200)]
    for number in (5, 60):  # fewer and more atoms than functions
        chosen = information([pool[k] for k in choose(pool, number).indices], pool)
        others = [information([pool[k] for k in random.choice(200, number, replace=False)], pool) for _ in range(20)]
        assert chosen > max(others)


def test_lazy_choice_is_the_greedy_one() -> None:
    pool = [rattled(seed, 0.02 * (1 + seed % 7), copies=1) for seed in range(25)]
    projector = Projector.of(moderate_basis(["Cu"]), pool)
    left = [projector.piece(k, atoms) for k, atoms in enumerate(pool)]
    lazy = [pick.piece.index for pick in most_informative(left, 6, projector.prior())]
    matrices, greedy = projector.prior(), []
    while len(greedy) < 6:
        best = max(left, key=lambda p: np.linalg.slogdet(matrices[0] + p.rows[0].astype(float).T @ p.rows[0])[1])
        greedy.append(best.index)
        add(matrices, best)
        left = [piece for piece in left if piece is not best]
    assert lazy == greedy


def test_a_pool_beyond_the_memory_gives_nearly_the_same_information(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [rattled(seed, 0.02 * (1 + seed % 7), copies=1) for seed in range(600)]
    whole = choose(pool, 8)
    monkeypatch.setattr(doptimal, "NUMBERS", 4 * 106 * 50)  # 50 frames
    streamed = choose(pool, 8)
    assert streamed.record["information_nats"] > 0.97 * whole.record["information_nats"]
    assert list(choose(pool, 8).indices) == list(streamed.indices)


def test_the_same_choice_twice_and_no_frame_twice() -> None:
    pool = [rattled(seed, copies=1) for seed in range(12)] * 2  # every frame twice
    first, second = choose(pool, 24), choose(pool, 24)
    assert list(first.indices) == list(second.indices)
    assert sorted(first.indices) == list(range(12))


def test_an_element_that_only_one_frame_outside_the_sample_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [rattled(seed, copies=1) for seed in range(20)]
    pool[7] = rattled(7, element="Au", copies=1)
    monkeypatch.setattr(doptimal, "SCALED_ON", 2)
    choice = choose(pool, 2)
    assert 7 in choice.indices
    assert set(choice.record["functions"]) == {"Au", "Cu"}


def test_many_elements_get_a_basis_of_moderate_size() -> None:
    assert moderate_basis(["Si"]).counts[0] == 106
    assert max(moderate_basis(["Al", "Co", "Cr", "Fe", "Ni"]).counts) <= doptimal.FUNCTIONS
    assert max(moderate_basis(["C", "F", "H", "K", "Li", "N", "Na", "O", "S"]).counts) <= doptimal.FUNCTIONS


def test_nothing_to_choose_from_and_nothing_wanted() -> None:
    assert len(choose([], 5).indices) == 0
    assert len(choose([rattled(1)], 0).indices) == 0


def test_one_frame_and_frames_that_are_all_alike() -> None:
    assert list(choose([rattled(1)], 5).indices) == [0]
    assert list(choose([bulk("Cu", cubic=True) for _ in range(4)], 2).indices) == [0]
    strained = [bulk("Cu", cubic=True, a=3.6 + 1e-4 * k) for k in range(4)]
    assert len(choose(strained, 2).indices) == 2


def test_isolated_atoms_tell_nothing_and_break_nothing() -> None:
    alone = Atoms("Cu", cell=[20, 20, 20], pbc=True)
    pool = [alone, rattled(1, copies=1), rattled(2, copies=1)]
    choice = choose(pool, 3, seen=[alone.copy()])
    assert sorted(choice.indices) == [1, 2]
    assert list(choose(pool, 3).indices)[-1] == 0


def test_without_structures_it_says_what_it_needs() -> None:
    with pytest.raises(DataError, match="needs the structures"):
        d_optimal(ArrayFeatures(np.ones((3, 2))), 2)


@pytest.mark.parametrize("broken", ["nan", "together"])
def test_a_frame_that_cannot_be_described_is_named(broken: str) -> None:
    pool = [rattled(seed, copies=1) for seed in range(3)]
    pool[1].positions[0] = np.nan if broken == "nan" else pool[1].positions[1]
    pool[1].info["uid"] = "f123"
    with pytest.raises(DataError, match="frame f123 cannot be described"):
        choose(pool, 2)
