"""The workflow is a good Snakemake citizen: dry runs, graphs, lint, single targets, messages."""

import subprocess
import sys

import pytest
import yaml
from running import PROJECT, QUICKSTART, command, needs_pw, snakemake

pytestmark = pytest.mark.usefixtures("pseudopotential_folder")

STAGES = {
    "expand", "relax", "parents", "generate", "structures",
    "explore", "explore_test", "sample", "select", "label", "collect", "train", "simulate",
    "assess", "validate", "report", "bundle",
}  # fmt: skip


@pytest.fixture
def pseudopotential_folder(tmp_path, monkeypatch):
    """A folder with a header that stands for the pseudopotential, so that dry runs need no Quantum ESPRESSO."""
    folder = tmp_path / "pseudo"
    folder.mkdir()
    (folder / "Si.pz-vbc.UPF").write_text(
        '<UPF version="2.0.1"><PP_HEADER element="Si" pseudo_type="NC" relativistic="no" functional="PBE" '
        'z_valence="4.0" wfc_cutoff="30.0" rho_cutoff="120.0"/></UPF>'
    )
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(folder))


def written(folder, **config):
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_dry_run_names_every_stage_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom snakemake.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    code = end.code\n"
        "heavy = [m for m in ('torch', 'numba', 'scipy', 'sklearn', 'pymatgen', 'matplotlib') if m in sys.modules]\n"
        "print('HEAVY', heavy, 'CODE', code)"
    )
    words = command(tmp_path, QUICKSTART, options=("--dry-run",))[3:]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert "HEAVY [] CODE 0" in done.stdout, done.stdout + done.stderr
    shown = {line.split()[0] for line in (done.stdout + done.stderr).splitlines() if line.strip()}
    assert shown >= STAGES
    assert not (tmp_path / "results").exists()


def test_a_folder_of_an_older_version_is_one_message_before_anything_is_planned(tmp_path):
    label = tmp_path / "results" / "quickstart" / "labeled" / "gen0" / "fa.json"
    label.parent.mkdir(parents=True)
    label.write_text("{}")
    done = snakemake(tmp_path, QUICKSTART, options=("--dry-run",))
    assert done.returncode == 1
    assert "labels of an older version" in done.stdout
    assert "Give the run another name" in done.stdout
    assert "Traceback" not in done.stdout
    assert "MLIP-AutoPipe: a potential" not in done.stdout


def test_one_line_is_enough(tmp_path):
    done = snakemake(tmp_path, written(tmp_path, composition="Si"), options=("--dry-run", "--quiet"))
    assert done.returncode == 0, done.stdout


def test_the_shipped_config_is_that_line():
    assert yaml.safe_load((PROJECT / "config" / "config.yaml").read_text()) == {"composition": "Si"}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"composition": "Si", "sed": 1}, "config key 'sed' = 1: unknown key. Known here:"),
        ({"composition": "Xy"}, "config key 'composition' = 'Xy': no element at 'Xy'"),
        (
            {"composition": "Si", "training": {"cutoff_angstrom": "wide"}},
            "config key 'training.cutoff_angstrom' = 'wide': Input should be a valid number",
        ),
        (
            {"composition": "Si", "labelling": {"pseudopotentials": {"Si": "Si.none.UPF"}}},
            "config key 'labelling.pseudopotentials.Si' = 'Si.none.UPF':",
        ),
    ],
)
def test_bad_config_is_one_message_already_in_the_dry_run(tmp_path, config, says):
    done = snakemake(tmp_path, written(tmp_path, **config), options=("--dry-run",))
    assert done.returncode == 1
    assert says in done.stdout
    assert "Traceback" not in done.stdout
    assert len([line for line in done.stdout.splitlines() if "config key" in line]) == 1


@pytest.mark.parametrize("graph", ["--dag", "--rulegraph"])
def test_graphs_can_be_drawn(tmp_path, graph):
    done = snakemake(tmp_path, QUICKSTART, options=(graph,))
    assert done.returncode == 0
    assert "digraph snakemake_dag {" in done.stdout
    assert 'label = "train' in done.stdout


def test_lint_and_format_are_clean(tmp_path):
    done = snakemake(tmp_path, QUICKSTART, options=("--lint",))
    assert done.returncode == 0, done.stdout
    assert "good condition" in done.stdout
    formatted = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", str(PROJECT / "workflow")], capture_output=True, text=True
    )
    assert formatted.returncode == 0, formatted.stderr


EXAMPLES = sorted(path.stem for path in QUICKSTART.parent.glob("*.yaml") if path.stem != "own_data")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_planned(tmp_path, example, monkeypatch):
    monkeypatch.delenv("ESPRESSO_PSEUDO")
    config = QUICKSTART.parent / f"{example}.yaml"
    done = snakemake(tmp_path, config, options=("--dry-run",))
    assert done.returncode == 0, done.stdout
    assert "Relaxing parents: " in done.stdout
    assert "Generating structures: " in done.stdout


def test_missing_pseudopotentials_are_said_in_a_dry_run_and_stop_a_run_before_its_first_job(tmp_path, monkeypatch):
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(tmp_path / "none"))
    done = snakemake(tmp_path, written(tmp_path, composition="TiO2"), options=("--dry-run",))
    assert done.returncode == 0, done.stdout
    assert "Mind: pseudopotentials are missing" in done.stdout
    assert "Ti: ti_pbe" in done.stdout
    assert "Taken for " in done.stdout
    done = snakemake(tmp_path, written(tmp_path, composition="TiO2"))
    assert done.returncode != 0
    assert "Pseudopotentials are missing: Ti: ti_pbe" in done.stdout
    assert "O: O.pbe" in done.stdout
    assert "Relaxing parents" not in done.stdout


@needs_pw
def test_one_stage_can_be_asked_for_by_its_file_and_a_change_remakes_only_what_it_touches(tmp_path):
    target = "results/quickstart/structures.extxyz"
    done = snakemake(tmp_path, QUICKSTART, target)
    assert done.returncode == 0, done.stdout
    made = {p.name for p in (tmp_path / "results" / "quickstart").iterdir()}
    assert made == {
        "structures.extxyz", "structures.json", "structures", "parents.extxyz", "parents.json", "parents", "logs",
        "benchmarks", ".lock",
    }  # fmt: skip
    again = snakemake(tmp_path, QUICKSTART, target)
    assert "Nothing to be done" in again.stdout
    config = yaml.safe_load(QUICKSTART.read_text())
    config["structures"]["counts"]["rattles"] += 1
    plan = snakemake(tmp_path, written(tmp_path, **config), target, options=("--dry-run",)).stdout
    jobs = {
        line.split()[0]: line.split()[1]
        for line in plan.splitlines()
        if line.split()[1:2] and line.split()[1].isdigit()
    }
    assert jobs == {"generate": "1", "structures": "1", "total": "2"}, plan


@needs_pw
def test_the_dump_reproduces_the_plan(tmp_path):
    dump = "results/quickstart/exec_config_dump.yaml"
    assert snakemake(tmp_path, QUICKSTART, dump).returncode == 0
    (tmp_path / "copy.yaml").write_text((tmp_path / dump).read_text())
    again = snakemake(tmp_path, tmp_path / "copy.yaml", dump)
    assert "Nothing to be done" in again.stdout, again.stdout


@needs_pw
def test_a_missing_pw_x_stops_the_run_before_the_first_job_with_one_message(tmp_path, monkeypatch):
    monkeypatch.delenv("ESPRESSO_PSEUDO")
    config = yaml.safe_load(QUICKSTART.read_text())
    config["labelling"]["command"] = "no-such-pw.x"
    done = snakemake(tmp_path, written(tmp_path, **config), options=("--cores", "1"))
    assert done.returncode == 1
    assert done.stdout.count("'no-such-pw.x' (labelling.command) is not found on the PATH") == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert "Install Quantum ESPRESSO" in done.stdout
    assert not list(tmp_path.glob("results/quickstart/labeled/*/*.json"))
    assert not list(tmp_path.glob("results/quickstart/explored/*"))


@needs_pw
def test_a_missing_pacemaker_stops_the_run_before_the_first_job_with_one_message(tmp_path):
    config = yaml.safe_load(QUICKSTART.read_text())
    config["training"] = {"trainer": "pacemaker", "pacemaker_command": "no-such-pacemaker"}
    done = snakemake(tmp_path, written(tmp_path, **config), options=("--cores", "1"))
    assert done.returncode == 1
    assert done.stdout.count("training.pacemaker_command = 'no-such-pacemaker': no such program") == 1, done.stdout
    assert "Traceback" not in done.stdout
    assert "envs/pacemaker.yaml" in done.stdout
    assert not list(tmp_path.glob("results/quickstart/explored/*"))
