"""Parents: the lowest are kept, each for a reason that is told; one failing source does not take the others along."""

from math import log

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from structures_tasks import make_task

from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.frames import new_frame
from mlip_autopipec.structures import registry
from mlip_autopipec.structures.parents import merge_parents, relax_source


def parent(symbols_of, energy, *, source="prototypes", prototype="A1", a=3.6, kind="crystal"):
    atoms = bulk("Cu", a=a, cubic=True)
    atoms.symbols = symbols_of
    extra = {"prototype": prototype, "source": source, "surrogate_ev_per_atom": energy}
    if source == "sqs":
        extra["mixing_kb"] = log(2)
    frame = new_frame(atoms, origin=prototype, config_type=kind, **extra)
    row = {"uid": frame.info["uid"], "prototype": prototype, "source": source, "kept": True, "why": ""}
    return [frame], {"source": source, "failed": "", "tried": [row]}


def test_emt_finds_copper_close_packed_and_keeps_the_window():
    task = make_task("Cu", prototypes=["A1", "A2", "A3", "A4"])
    parents, record = merge_parents([relax_source("prototypes", task)], task)
    assert parents[0].info["prototype"] in ("A1", "A3")  # EMT tells fcc and hcp apart by less than 1 meV/atom
    assert {p.info["prototype"]: p.info["spacegroup"] for p in parents}["A1"] == "Fm-3m"
    assert parents[0].info["above_lowest_ev_per_atom"] == 0
    rows = {row["prototype"]: row for row in record["tried"]}
    assert set(rows) == {"A1", "A2", "A3", "A4"}
    assert not rows["A4"]["kept"]
    assert "meV/atom above the lowest" in rows["A4"]["why"]


def test_b2_that_relaxes_into_the_same_crystal_is_left_out():
    """Scaled copies of one crystal relax to the same: only one stays."""
    task = make_task("Cu", prototypes=["A1"])
    one, two = relax_source("prototypes", task), relax_source("prototypes", task)
    two[0][0].info["uid"] = two[1]["tried"][0]["uid"] = "fother"
    parents, record = merge_parents([one, two], task)
    assert len(parents) == 1
    assert [row["why"] for row in record["tried"]] == ["", "the same structure as A1"]


def test_energies_are_compared_within_a_composition_only():
    parts = [
        parent("Cu2Au2", -3.0, prototype="L1_0"),
        parent("Cu3Au", -3.9, prototype="SQS-fcc-4", source="sqs", a=3.7),
        parent("Cu2Au2", -2.95, prototype="B2", a=3.8),
    ]
    task = make_task("CuAu")
    parents, record = merge_parents(parts, task)
    assert [p.info["prototype"] for p in parents] == ["L1_0", "SQS-fcc-4", "B2"]
    assert parents[2].info["above_lowest_ev_per_atom"] == pytest.approx(0.05)
    assert record["reference"] == "L1_0"


def test_quasirandom_cells_have_a_window_wider_by_their_entropy():
    def of(above):
        return [parent("Cu2Au2", -3.0), parent("Cu2Au2", -3.0 + above, prototype="SQS", source="sqs", a=3.8)]

    task = make_task("CuAu")  # k ln2 at 1000 K: 60 meV
    assert len(merge_parents(of(0.155), task)[0]) == 2
    assert len(merge_parents(of(0.165), task)[0]) == 1


def test_the_best_of_each_source_comes_before_further_ones():
    parts = [parent("Cu4", -3.0 + 0.01 * k, a=3.6 + 0.2 * k, prototype=f"p{k}") for k in range(4)]
    parts.append(parent("Cu4", -2.92, source="random", prototype="random-01", a=5.0))
    parents, record = merge_parents(parts, make_task("Cu", parents_max=3))
    assert [p.info["prototype"] for p in parents] == ["p0", "p1", "random-01"]
    assert [row["why"] for row in record["tried"] if not row["kept"]] == ["beyond structures.parents_max = 3"] * 2


def test_the_crystal_the_user_means_is_the_reference_whatever_its_energy():
    parts = [parent("Cu4", -3.0), parent("Cu4", -2.0, source="structure", prototype="structure", a=4.0)]
    parents, _ = merge_parents(parts, make_task("Cu"))
    assert [p.info["prototype"] for p in parents] == ["structure", "A1"]


def test_a_source_that_raises_says_so_and_the_others_go_on(monkeypatch):
    def broken(task):
        raise ValueError("no such lattice")

    monkeypatch.setattr(registry, "source", lambda name: broken)
    frames, record = relax_source("random", make_task("Cu"))
    assert frames == []
    assert record["failed"] == "ValueError: no such lattice"
    assert len(merge_parents([(frames, record), parent("Cu4", -3.0)], make_task("Cu"))[0]) == 1


def test_without_any_parent_every_reason_is_told():
    with pytest.raises(DataError, match="sqs: a quasirandom cell needs two elements"):
        merge_parents([relax_source("sqs", make_task("Cu"))], make_task("Cu"))


def test_alloy_by_emt_keeps_ordered_and_quasirandom_cells():
    task = make_task("CuAu", prototypes=["L1_0", "B2"], sources=["prototypes", "sqs"], energy_window_ev_per_atom=0.2)
    parents, record = merge_parents([relax_source(name, task) for name in task.settings.sources], task)
    assert "SQS-fcc-16" in [p.info["prototype"] for p in parents]
    assert all("surrogate_ev_per_atom" in row for row in record["tried"])
    assert all(p.info["config_type"] == "crystal" for p in parents)


def test_structure_comes_from_the_file_and_is_relaxed(tmp_path):
    write(tmp_path / "mine.cif", bulk("Cu", a=3.8, cubic=True))
    frames, record = relax_source("structure", make_task("Cu", structure=str(tmp_path / "mine.cif")))
    assert record["tried"][0]["spacegroup"] == "Fm-3m"
    assert (frames[0].get_volume() / len(frames[0])) ** (1 / 3) == pytest.approx(3.59 / 4 ** (1 / 3), rel=0.01)


@pytest.mark.parametrize(("element", "problem"), [("Ag", "which the composition Cu has not"), (None, "no such file")])
def test_file_that_does_not_fit_is_named(tmp_path, element, problem):
    path = tmp_path / "mine.cif"
    if element:
        write(path, bulk(element))
    with pytest.raises(InputFileError, match=problem):
        relax_source("structure", make_task("Cu", structure=str(path)))


def test_same_seed_same_parents():
    def uids(seed):
        task = make_task("CuAu", sqs_atoms=[8], seed=seed, calculator=EMT)
        return [f.info["uid"] for f in relax_source("sqs", task)[0]]

    assert uids(1) == uids(1)


def test_the_small_cells_decide_where_the_large_quasirandom_cell_goes():
    task = make_task("CuAu", sqs_lattices=["bcc", "hcp", "fcc"], sqs_atoms=[8, 12])
    frames, record = relax_source("sqs", task)
    small = [frame for frame in frames if len(frame) == 8]
    best = min(small, key=lambda frame: frame.info["surrogate_ev_per_atom"]).info["prototype"]
    assert len(small) == 3
    assert [f.info["prototype"] for f in frames if len(f) == 12] == [best.replace("-8", "-12")]
    assert record["proposed"] == len(record["tried"]) == 4
