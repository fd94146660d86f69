"""Which labels share a job, and what a job asks for."""

import pytest
from ase import Atoms
from ase.build import bulk

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import MlipError
from mlip_autopipec.frames import new_frame, plane_distances, write_frames
from mlip_autopipec.labelling.cells import label_files, read_cells
from mlip_autopipec.labelling.costs import Cost, estimate, kpoints, ranks_for
from mlip_autopipec.labelling.jobs import (
    RETRIES,
    atom_cells,
    by_name,
    costs,
    one_each,
    partition,
    retry_job,
    tighter_job,
)  # fmt: skip
from mlip_autopipec.structures.reference import isolated_atoms

VALUES = {
    "pseudo_dir": [], "pseudopotentials": {"Si": "Si.pz-vbc.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80,
    "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {}, "magnetic_states": [],
    "kspacing_per_angstrom": 0.25, "kmesh": [2, 2, 2],
}  # fmt: skip
SILICON = {"Si": 4.0}


def settings(**change):
    return Labelling(**(VALUES | change))


def cell_of(atoms, tmp_path, **info):
    frame = new_frame(atoms, origin="t", config_type=info.pop("config_type", "a"), **info)
    write_frames(tmp_path / "one.extxyz", [frame])
    (cell,) = read_cells(tmp_path / "one.extxyz")
    return frame, cell


def rattled(number, repeat=1):
    made = []
    for seed in range(number):
        atoms = bulk("Si", cubic=True).repeat((repeat, 1, 1))
        atoms.rattle(0.05, seed=seed)
        made.append(new_frame(atoms, origin="t", config_type="rattle"))
    return made


def cells(tmp_path, frames, name="gen0"):
    write_frames(tmp_path / "frames" / f"{name}.extxyz", frames)
    return read_cells(tmp_path / "frames" / f"{name}.extxyz")


def test_cells_are_read_as_they_are(tmp_path):
    strained = bulk("NaCl", "rocksalt", a=5.6)
    strained.set_cell(strained.cell.array @ [[1.1, 0.1, 0], [0, 1, 0.05], [0, 0, 0.9]], scale_atoms=True)
    frame, cell = cell_of(strained, tmp_path)
    assert (cell.name, cell.uid, cell.natoms, dict(cell.counts)) == (
        frame.info["uid"], frame.info["uid"], 2, {"Na": 1, "Cl": 1},
    )  # fmt: skip
    assert cell.volume == pytest.approx(strained.get_volume())
    assert cell.planes == pytest.approx(plane_distances(strained), abs=1e-5)
    molecule = Atoms("H2", positions=[[5, 5, 5], [5, 5, 5.74]], cell=[10, 10, 10], pbc=True)
    _, cell = cell_of(molecule, tmp_path, name="v0")
    assert (cell.name, cell.planes, cell.isolated_atom) == ("v0", (0.0, 0.0, 0.0), False)
    _, cell = cell_of(isolated_atoms(["Si"], 12.0)[0], tmp_path, config_type="IsolatedAtom", name="Si")
    assert cell.isolated_atom
    assert cell.volume == pytest.approx(atom_cells(["Si"], 12.0)[0].volume, rel=0.01)


def test_a_frame_without_a_name_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "f.extxyz").write_text('1\nLattice="1 0 0 0 1 0 0 0 1"\nSi 0 0 0\n')
    with pytest.raises(MlipError, match=r"f\.extxyz: frame 0 has neither name nor uid"):
        read_cells(tmp_path / "f.extxyz")


def test_a_truncated_file_is_an_error_that_names_it(tmp_path):
    cells(tmp_path, rattled(2))
    path = tmp_path / "frames" / "gen0.extxyz"
    whole = path.read_text()
    for length in (len(whole) - 1, len(whole) - 30, whole.rindex("Si ")):
        path.write_text(whole[:length])
        with pytest.raises(MlipError, match=r"gen0\.extxyz: frame 1 ends early. Delete the file"):
            read_cells(path)


def test_a_file_that_changed_is_read_again(tmp_path):
    assert len(cells(tmp_path, rattled(2))) == 2
    assert len(cells(tmp_path, rattled(3))) == 3


def test_labels_stand_beside_their_frames_file_in_its_order(tmp_path):
    frames = rattled(3)
    cells(tmp_path, frames)
    found = label_files(tmp_path / "frames" / "gen0.extxyz")
    assert found == [tmp_path / "labeled" / "gen0" / f"{f.info['uid']}.json" for f in frames]


def test_every_frame_is_in_one_job_and_the_split_is_the_same_every_time(tmp_path):
    found = cells(tmp_path, [*rattled(30), *rattled(10, repeat=3)])
    jobs = partition(found, settings(seconds_per_job=30))
    names = [name for job in jobs for name in job.names]
    assert sorted(names) == sorted(cell.name for cell in found)
    assert jobs == partition(found, settings(seconds_per_job=30))
    order = {cell.name: k for k, cell in enumerate(found)}
    assert all(list(job.names) == sorted(job.names, key=order.get) for job in jobs)
    assert partition([], settings()) == []


def test_jobs_are_as_long_as_asked_for_and_alike(tmp_path):
    found = cells(tmp_path, rattled(400))
    jobs = partition(found, settings(seconds_per_job=60))
    work = [job.seconds for job in jobs]
    assert max(work) < 1.2 * 60
    assert min(work) > 0.8 * sum(work) / len(work)
    assert len(partition(found, settings(seconds_per_job=1))) == 400


def test_few_short_labels_still_give_every_core_work(tmp_path):
    found = cells(tmp_path, rattled(40))
    total = sum(cost.seconds for cost in by_name(found, settings()).values())
    assert total < 600  # less than one job's worth
    jobs = partition(found, settings())
    assert len(jobs) >= 4
    assert all(job.seconds < 20 for job in jobs)
    assert len(partition(found[:3], settings())) == 3


def test_a_long_label_has_a_job_of_its_own(tmp_path):
    found = cells(tmp_path, [*rattled(10), *rattled(1, repeat=8)])
    config = settings(seconds_per_job=20)
    longest = max(by_name(found, config).items(), key=lambda item: item[1].seconds)
    assert longest[1].seconds > 20
    assert (longest[0],) in [job.names for job in partition(found, config)]


def test_isolated_atoms_do_not_wait_for_one_another():
    atoms = atom_cells(["Mg", "O"], 12.0)
    assert [job.names for job in one_each(atoms, settings())] == [("Mg",), ("O",)]


def test_no_try_asks_for_a_time_that_no_queue_has(tmp_path):
    config = settings()
    found = cells(tmp_path, rattled(200))
    for job in partition(found, config):
        minutes = [job.minutes(config, attempt, 1) for attempt in (1, 2, RETRIES + 1)]
        assert minutes == sorted(minutes)
        assert config.max_seconds / 60 <= minutes[-1] <= 20 + max(config.max_seconds, 16 * 5 * job.seconds) / 60
    (alone,) = partition(found[:1], settings(max_seconds=1))
    assert alone.minutes(settings(max_seconds=1), RETRIES + 1, 1) <= 16


def test_a_retry_asks_for_more_memory_and_time_and_the_last_for_all_that_one_label_may_take(tmp_path):
    (job,) = partition(cells(tmp_path, rattled(1, repeat=8)), settings())
    config = settings()
    minutes = [job.minutes(config, attempt, 1) for attempt in (1, 2, RETRIES + 1)]
    assert minutes[0] < minutes[1] <= minutes[2]
    assert minutes[2] >= config.max_seconds / 60
    assert job.mem_mb(2, 1) == pytest.approx(2 * job.mem_mb(1, 1), abs=2)
    assert 60 * minutes[0] > 4 * job.seconds


def test_checks_ask_for_what_their_runs_need(tmp_path):
    found = cells(tmp_path, [*rattled(4), *rattled(1, repeat=4)])
    config = settings(noise_labels=2)
    labels = {cell.name: cost for cell, cost in zip(found, costs(found, config), strict=True)}
    noise = tighter_job(found, config)
    largest = labels[found[-1].name]
    assert noise.longest > 4 * largest.seconds  # 27 times as many k-points to 8, 1.4 times the plane waves
    assert noise.memory_mb > largest.memory_mb
    assert noise.minutes(config, 1, 1) < noise.minutes(config, 2, 1) <= noise.minutes(config, 3, 1)
    assert tighter_job(found, settings(ranks_max=4, max_seconds=60)).ranks == 4
    assert retry_job(found, config).seconds == 0
    spin = settings(nspin=2, magnetic_states=["high", "low"], starting_magnetization={"Si": 0.1})
    whole = by_name(found, spin)[found[-1].name].seconds
    assert retry_job(found, spin).longest == pytest.approx(whole / 2, rel=0.01)
    assert retry_job([], spin).seconds == 0


def test_long_labels_get_more_ranks_only_where_that_is_allowed(tmp_path):
    assert ranks_for(10_000, settings()) == 1
    assert ranks_for(100, settings(ranks_max=8)) == 1
    assert ranks_for(10_000, settings(ranks_max=8)) == 8
    found = cells(tmp_path, [*rattled(4), *rattled(1, repeat=24)])
    jobs = partition(found, settings(ranks_max=4, max_seconds=1200))
    assert [job.ranks for job in jobs if found[-1].name in job.names] == [4]
    assert all(job.ranks == 1 for job in jobs if found[-1].name not in job.names)


@pytest.mark.parametrize(
    ("frame", "change", "valence", "measured"),
    [
        # CPU seconds on one core, FACTS of real runs: a law for all of them is right within a factor of three
        (bulk("Si", cubic=True), {"kmesh": [2, 2, 2], "kshift": [1, 1, 1]}, SILICON, 2.2),
        (bulk("Al", cubic=True), {"kmesh": [4, 4, 4], "ecutwfc_ry": 16, "ecutrho_ry": 64}, {"Al": 3.0}, 1.2),
        (
            bulk("MgO", "rocksalt", a=4.2, cubic=True),
            {"kmesh": [2, 2, 2], "ecutwfc_ry": 30, "ecutrho_ry": 240}, {"Mg": 2.0, "O": 6.0}, 3.2,
        ),
        (
            bulk("Fe", cubic=True),
            {"nspin": 2, "kmesh": [3, 3, 3], "ecutwfc_ry": 25, "ecutrho_ry": 200}, {"Fe": 8.0}, 5.0,
        ),
        (
            bulk("Al", cubic=True).repeat(2), {"kmesh": [2, 2, 2], "ecutwfc_ry": 16, "ecutrho_ry": 64}, {"Al": 3.0}, 50,
        ),
    ],
)  # fmt: skip
def test_the_law_knows_the_scale_of_real_labels(tmp_path, frame, change, valence, measured):
    _, cell = cell_of(frame, tmp_path)
    seconds = estimate(cell, settings(**change), valence).seconds
    assert measured / 3 < seconds < 3 * measured


def test_costs_grow_as_they_must(tmp_path):
    _, small = cell_of(bulk("Si", cubic=True), tmp_path)
    _, large = cell_of(bulk("Si", cubic=True).repeat(2), tmp_path)
    one = settings(kmesh=[2, 2, 2])
    assert 40 < estimate(large, one, SILICON).seconds / estimate(small, one, SILICON).seconds < 512
    finer = estimate(small, settings(kmesh=[4, 4, 4]), SILICON)
    assert 6 < finer.seconds / estimate(small, one, SILICON).seconds < 9
    spin = settings(kmesh=[2, 2, 2], nspin=2, magnetic_states=["high", "low"], starting_magnetization={"Si": 0.1})
    assert estimate(small, spin, SILICON).seconds > 3 * estimate(small, one, SILICON).seconds
    assert estimate(large, one, SILICON).memory_mb > estimate(small, one, SILICON).memory_mb


def test_memory_is_that_of_a_real_run(tmp_path):
    # pw.x 6.7 printed 202.9 MB for MgO24 (30/240 Ry, four k-points), 12 for Si8 (20 Ry, four): 150 MB + 1.3 x that.
    _, magnesia = cell_of(bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((3, 1, 1)), tmp_path)
    config = settings(kmesh=[2, 2, 2], ecutwfc_ry=30, ecutrho_ry=240)
    cost = estimate(magnesia, config, {"Mg": 2.0, "O": 6.0})
    assert cost.memory_mb - 400 == pytest.approx(150 + 1.3 * 202.9, rel=0.4)


def test_meshes_are_counted_as_pw_makes_them(tmp_path):
    _, cell = cell_of(bulk("Si", cubic=True), tmp_path)
    assert kpoints(cell, settings(kmesh=[4, 4, 4])) == 32
    assert kpoints(cell, settings(kmesh=None)) == 63  # 5 x 5 x 5, k and -k together
    molecule = Atoms("H2", positions=[[5, 5, 5], [5, 5, 5.74]], cell=[10, 10, 10], pbc=True)
    assert kpoints(cell_of(molecule, tmp_path)[1], settings(kmesh=None)) == 1


def test_a_teacher_costs_by_the_atom(tmp_path):
    _, cell = cell_of(bulk("Si", cubic=True).repeat(2), tmp_path)
    cost = estimate(cell, settings(engine="calculator", calculator="sevennet-0"), SILICON)
    assert cost == Cost(pytest.approx(0.4 + 0.64), 2000.0)
