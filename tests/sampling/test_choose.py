"""What gets a label: ideal cells always, the rest by the sampler, nothing twice, and a reason for each."""

import numpy as np
import pytest
from ase.build import bulk

from mlip_autopipec.config.full import Sampling
from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.frames import ISOLATED_ATOM, new_frame, write_frames
from mlip_autopipec.sampling import Pool, choose_candidates, choose_uncertain, describe, describer
from mlip_autopipec.sampling.samplers import Choice

SETTINGS = Sampling(candidates=4, soap_cutoff_angstrom=4.5, soap_n_max=4, soap_l_max=2)
SOAP = describer(SETTINGS, ["Si"])


def settings(**changes):
    return SETTINGS.model_copy(update=changes)


def frame(a, seed=0, amplitude=0.0, config_type="explored", origin="t"):
    atoms = bulk("Si", a=a, cubic=True)
    atoms.rattle(amplitude, seed=seed)
    return new_frame(atoms, origin=origin, config_type=config_type)


def walk(number, start=0, amplitude=0.1):
    return [frame(5.43, seed=start + s, amplitude=amplitude, origin=f"walker T{start} step {s}") for s in range(number)]


def names(frames):
    return [f.info["uid"] for f in frames]


def choose(pool, settings, **more):
    indices, record = choose_candidates(Pool.of(pool, SOAP), settings, 0, **more)
    return [pool[int(k)] for k in indices], record


@pytest.mark.parametrize("method", ["direct", "farthest-point", "random", "stratified-random", "d-optimal"])
def test_candidates_hold_the_crystal_at_all_volumes_and_no_duplicates(method):
    volumes = [frame(a, config_type="volume") for a in (5.3, 5.5)]
    pool = [*volumes, *walk(8), volumes[0]]
    chosen, record = choose(pool, settings(method=method))
    assert names(chosen)[:2] == names(volumes)
    assert len(set(names(chosen))) == 4
    assert record["duplicates_left_out"] == 1
    assert record["chosen_by_type"] == {"volume": 2, "explored": 2}
    assert (record["method"], record["descriptor"], record["frames"], record["chosen"]) == (method, "soap", 10, 4)
    assert list(record["why"]) == names(chosen)
    assert record["why"][volumes[0].info["uid"]] == "always taken: volume"
    assert all(record["why"].values())


def lineage(root, number, kind, a):
    return [
        new_frame(bulk("Si", a=a + 0.02 * k, cubic=True), origin="t", config_type=kind, like=root)
        for k in range(1, number + 1)
    ]


def test_what_is_always_chosen_is_half_at_most_the_references_first_and_its_ends_kept():
    parents = [new_frame(bulk("Si", a=a), origin="t", config_type="crystal") for a in (5.43, 5.9)]
    cells = [
        new_frame(bulk("Si", a=a, cubic=True), origin="t", config_type="crystal", parent=p.info["uid"])
        for a, p in zip((5.43, 5.9), parents, strict=True)
    ]
    volumes, others = lineage(cells[0], 7, "volume", 5.43), lineage(cells[1], 7, "volume", 5.9)
    pool = [cells[0], *others, *volumes, cells[1], *walk(20)]
    chosen, record = choose(pool, settings(candidates=10, always=["crystal", "volume"]))
    assert record["always"] == 5
    assert len(chosen) == 10
    # the reference's lineage alone: its crystal and four of its volumes, both ends among them
    assert names(chosen)[:5] == names([cells[0], *(volumes[k] for k in (0, 2, 4, 6))])
    chosen, record = choose(pool, settings(candidates=20, always=["crystal", "volume"]))
    assert record["always"] == 10
    assert {*names([cells[0], *volumes, cells[1]])} <= {*names(chosen[:10])}


def test_parents_in_a_circle_end():
    one, other = frame(5.3, config_type="crystal"), frame(5.5, config_type="crystal")
    one.info["parent"], other.info["parent"] = other.info["uid"], one.info["uid"]
    assert len(choose([one, other, *walk(5)], SETTINGS)[0]) == 4


def test_a_pool_of_ideal_cells_alone_is_taken_whole():
    pool = [frame(5.3 + 0.1 * k, config_type="volume") for k in range(3)]
    assert names(choose(pool, SETTINGS)[0]) == names(pool)


def test_what_is_in_the_dataset_counts_as_chosen():
    still, hot = walk(10, amplitude=0.01), walk(10, start=50, amplitude=0.4)
    pool = [*still, *hot]
    for method in ("direct", "farthest-point"):
        chosen, _ = choose(pool, settings(candidates=1, method=method), known=Pool.of(hot[:3], SOAP))
        assert not {*names(chosen)} & {*names(hot[:3])}
    known = Pool.of(walk(5, start=100, amplitude=0.01), SOAP)
    chosen, record = choose(pool, settings(candidates=3, method="farthest-point"), known=known)
    assert {*names(chosen)} <= {*names(hot)}
    assert record["why"][chosen[0].info["uid"]].startswith("farthest from all chosen, distance ")


def test_a_dataset_described_otherwise_is_refused():
    other = describer(settings(soap_n_max=3), ["Si"])
    with pytest.raises(DataError, match="cannot be compared"):
        choose(walk(5), SETTINGS, known=Pool.of(walk(2), other))


def test_nothing_to_choose_from_is_said():
    with pytest.raises(DataError, match="no frame"):
        choose_candidates(Pool.of([], SOAP), SETTINGS, 0)


def test_a_sampler_that_is_not_there_is_said_by_its_key():
    with pytest.raises(ConfigError, match=r"sampling\.method' = 'farthest'"):
        choose(walk(3), settings(method="farthest"))
    with pytest.raises(ConfigError, match=r"sampling\.method_later' = 'farthest'"):
        choose_uncertain(walk(3), [], 2, 9, settings(method_later="farthest"), SOAP, 0)


def test_a_pool_on_disk_gives_the_same_choice_as_one_in_memory_and_reads_the_chosen_only(tmp_path, monkeypatch):
    volumes = [frame(a, config_type="volume") for a in (5.3, 5.5)]
    parts = {"structures": volumes, "T0": walk(12), "T500": walk(12, start=500, amplitude=0.3)}
    files = []
    for name, frames in parts.items():
        write_frames(tmp_path / f"{name}.extxyz", frames)
        describe(tmp_path / f"{name}.extxyz", tmp_path / f"{name}.npy", SOAP)
        files.append((tmp_path / f"{name}.extxyz", tmp_path / f"{name}.npy"))
    pool, read = Pool.open(files), []
    monkeypatch.setattr(
        Pool, "read", lambda self, wanted, read_all=Pool.read: read.extend(wanted) or read_all(self, wanted)
    )
    for method in ("direct", "farthest-point", "random"):
        read.clear()
        indices, record = choose_candidates(pool, settings(candidates=9, method=method), 3)
        assert {int(k) for k in read} <= {*indices.tolist()}
        memory = [f for frames in parts.values() for f in frames]
        other, told = choose_candidates(Pool.of(memory, SOAP), settings(candidates=9, method=method), 3)
        assert names(pool.read(indices)) == names([memory[k] for k in other])
        assert list(record["why"]) == list(told["why"])
        assert record["chosen_by_type"] == told["chosen_by_type"]


def test_a_sampler_gets_what_the_contract_says(monkeypatch):
    import mlip_autopipec.sampling.choose as module

    got = {}

    def mine(features, number, *, seen, strata, seed, per_cluster, frames, seen_frames):
        got.update(rows=features.shape[0], number=number, seen=seen, strata=strata, seed=seed, each=per_cluster)
        got.update(frames=frames(np.array([3, 1])), seen_frames=seen_frames)
        return Choice(np.array([3]), ["because"])

    monkeypatch.setattr(module, "sampler", lambda name, key="": mine)
    crystal, walkers = frame(5.43, config_type="crystal"), [*walk(4), *walk(4, start=30)]
    pool = [crystal, *walkers]
    indices, record = choose_candidates(Pool.of(pool, SOAP), settings(per_cluster=2), 7)
    assert indices.tolist() == [0, 4]
    assert record["why"] == {crystal.info["uid"]: "always taken: crystal", walkers[3].info["uid"]: "because"}
    assert (got["rows"], got["number"], got["seed"], got["each"]) == (8, 3, 7, 2)
    np.testing.assert_allclose(got["seen"], [SOAP(crystal)])
    assert names(got["seen_frames"]) == names([crystal])
    assert names(got["frames"]) == names([walkers[3], walkers[1]])
    assert [int((got["strata"] == s).sum()) for s in np.unique(got["strata"])] == [4, 4]


@pytest.mark.parametrize("method", ["farthest-point", "direct", "random", "stratified-random", "d-optimal"])
def test_uncertain_frames_are_chosen_within_the_budget_and_never_twice(method):
    known = [frame(5.43, seed=s, amplitude=0.05) for s in range(4)]
    alone = new_frame(bulk("Si"), origin="t", config_type=ISOLATED_ATOM)
    uncertain = [frame(5.43, seed=s, amplitude=0.3) for s in range(10, 16)] + known[:2]

    def chosen(frames, number, budget):
        return choose_uncertain(frames, [*known, alone], number, budget, settings(method_later=method), SOAP, 0)

    frames, record = chosen(uncertain, 3, 100)
    assert len(frames) == 3
    assert not {*names(frames)} & {*names(known)}
    assert list(record["why"]) == names(frames)
    assert all(words.startswith("uncertain; ") for words in record["why"].values())
    assert (record["uncertain"], record["duplicates_left_out"], record["method"]) == (6, 2, method)
    assert len(chosen(uncertain, 3, 5)[0]) == 1
    assert chosen(uncertain, 3, 4)[0] == []
    assert chosen(known, 3, 100)[0] == []
    assert chosen([], 3, 100)[1]["why"] == {}
