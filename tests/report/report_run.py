"""A finished run in small, made by the stages' own functions with EMT copper in the place of DFT and potential."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_autopipec.artifacts import versions, write_json
from mlip_autopipec.config import expand
from mlip_autopipec.frames import ISOLATED_ATOM, new_frame
from mlip_autopipec.labelling.audit import audit
from mlip_autopipec.labelling.collect import collect
from mlip_autopipec.labelling.labeller import Attempt, Label, write_label
from mlip_autopipec.metrics import by_type, evaluate
from mlip_autopipec.simulation import assess
from mlip_autopipec.validation import validate

A = 3.6
WRITTEN = {
    "composition": "Cu",
    "run": "small",
    "seed": 7,
    "labelling": {"pseudopotentials": {"Cu": "Cu.UPF"}, "ecutwfc_ry": 40, "ecutrho_ry": 320},
    "structures": {"volume_strain_max": 0.15},
    "simulation": {"temperatures_k": [300, 900], "walkers_per_temperature": 1},
    "active_learning": {"generations_max": 3},
    "validation": {"energy_rmse_max_mev_per_atom": 20},
}


SPIN = [
    {
        "moment": 1, "occupations": "smearing", "energy_ev": 3.5, "kept": True, "outcome": "ok",
        "reason": "converged",
    },
    {
        "moment": 3, "occupations": "fixed", "energy_ev": None, "kept": False, "outcome": "scf_not_converged",
        "reason": "the SCF ran away",
    },
]  # fmt: skip


class Model(EMT):
    """EMT, stiffer by a constant factor (so energies, forces and stresses belong together), with a made-up gamma."""

    implemented_properties = (*EMT.implemented_properties, "gamma")

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        for key in ("energy", "forces", "stress"):
            if key in self.results:
                self.results[key] = self.factor * self.results[key]

    def gamma(self, atoms: Atoms) -> np.ndarray:
        return np.full(len(atoms), 0.8)


@dataclass
class Crippled:
    """What goes wrong in the run; the defaults let nothing go wrong but one refused training frame."""

    generations: int = 3
    converged: bool = True
    test: bool = True
    eos: int = 7
    atom: bool = True
    elastic: bool = True
    reason: str = "SCF did not converge in 80 iterations, nor with a smaller mixing"


def label(frame: Atoms, folder: Path, accepted: bool, reason: str, attempts: int = 1, seconds: float = 3.6) -> str:
    """Write the label of a frame and return its path."""
    numbers = {}
    if accepted:
        copy = frame.copy()
        copy.calc = EMT()
        isolated = frame.info["config_type"] == ISOLATED_ATOM
        stress = (0.0,) * 6 if isolated else tuple(copy.get_stress())
        numbers = {
            "energy_ev": copy.get_potential_energy(),
            "forces": [tuple(f) for f in copy.get_forces()],
            "stress": stress,
        }
    done = Label(
        accepted=accepted,
        outcome="ok" if accepted else "scf_not_converged",
        kind="ok" if accepted else "physics",
        reason="" if accepted else reason,
        natoms=len(frame),
        engine="espresso",
        engine_version="6.7MaX",
        cpu_seconds=seconds,
        warnings=["Warning: card &CELL ignored"],
        attempts=[
            Attempt(
                folder=str(k),
                outcome="ok" if accepted and k == attempts - 1 else "scf_not_converged",
                reason="",
                wall_seconds=seconds / attempts,
                changed={"mixing_beta": 0.3} if k else {},
                why="charge sloshing: gentler mixing" if k else "first attempt",
            )
            for k in range(attempts)
        ],
        wall_seconds=seconds,
        settings={"spin_states": SPIN if accepted else []} if frame.info["config_type"] == ISOLATED_ATOM else {},
        **numbers,
    )
    path = folder / f"{frame.info.get('name') or frame.info['uid']}.json"
    write_label(path, done)
    return str(path)


def frames(number: int, config_type: str, seed: int, generation: int = 0) -> list[Atoms]:
    """Rattled copper cells at several volumes."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        cell = bulk("Cu", a=A * (1 + 0.02 * random.uniform(-1, 1)), cubic=True)
        cell.positions += 0.08 * random.normal(size=(4, 3))
        made.append(new_frame(cell, origin="test", config_type=config_type, generation=generation))
    return made


def walker(generation: int, temperature_k: float, uncertain: bool) -> dict:
    """The record of one simulation walker."""
    random = np.random.default_rng(generation + int(temperature_k))
    gamma = 0.7 * np.exp(0.25 * random.normal(size=101))
    if uncertain:
        gamma[60], gamma[100] = 3.4, 14.2
    return {
        "walker": f"T{temperature_k:04.0f}-0", "generation": generation, "temperature_k": temperature_k, "start": "f0",
        "start_type": "bond_breaking",
        "steps_asked": 10000, "steps_done": 10000,
        "stopped": "extrapolation grade 14.2 (limit 10.0)" if uncertain else "",
        "uncertain_frames": 2 * uncertain, "kept_frames": 2 * uncertain, "gamma_step": list(range(0, 1010, 10)),
        "gamma_max": gamma,
    }  # fmt: skip


def parent(prototype: str, above: float, kept: bool, why: str, spacegroup: str = "Fm-3m") -> dict:
    """A row of parents.json."""
    return {
        "uid": f"f{prototype}", "source": "prototypes", "prototype": prototype, "formula": "Cu4", "atoms": 4,
        "spacegroup": spacegroup, "surrogate_ev_per_atom": -3.7 + above, "above_lowest_ev_per_atom": above,
        "kept": kept, "why": why,
    }  # fmt: skip


PARENTS = {
    "tried": [
        parent("A1", 0.0, True, ""), parent("A3", 0.011, True, "", "P6_3/mmc"),
        parent("A2", 0.15, False, "150 meV/atom above the lowest, window 100", "Im-3m"),
        {"uid": "", "prototype": "A4", "source": "prototypes", "kept": False, "why": "it flew apart"},
    ],
    "reference": "A1",
    "sources": [{"source": "sqs", "failed": "one element has no disorder"}],
}  # fmt: skip


def made_by(generator: str, asked: int, kept: int, unphysical: int = 0, failed: str = "") -> dict:
    """A row of structures.json."""
    return {
        "generator": generator, "asked": asked, "made": kept + unphysical, "kept": kept, "unphysical": unphysical,
        "duplicates": 0, "failed": failed,
    }  # fmt: skip


STRUCTURES = {
    "frames": 30,
    "by_type": {"crystal": 1, "rattle": 20, "surface": 9},
    "generators": [
        made_by("rattles", 21, 20, 1), made_by("surfaces", 9, 9), made_by("melt", 5, 0, failed="the melt froze"),
    ],
}  # fmt: skip


NOISE = {
    "measured": True,
    "reason": "2 labels run again with cutoffs x 1.25, k-points x 1.5, SCF accuracy / 100",
    "energy_mev_per_atom": 1.37, "force_mev_per_angstrom": 22.9, "stress_gpa": 0.11,
    "energy_raw_mev_per_atom": 40.2, "stress_raw_gpa": 0.9, "force_share": 0.02, "settings": None,
    "failed": [{"name": "f9", "reason": "out of memory"}],
    "frames": [{
        "name": f"f{k}", "config_type": "rattle", "atoms": 4, "elements": {"Cu": 4}, "energy_mev_per_atom": 1.0 + k,
        "force_mev_per_angstrom": 20.0, "force_max_mev_per_angstrom": 41.0, "label_force_mev_per_angstrom": 900.0,
        "stress_gpa": None, "branch": [None, None], "core_seconds": 36.0,
    } for k in range(2)],
}  # fmt: skip


def make_run(folder: Path, broken: Crippled | None = None) -> dict[str, str | list[str]]:
    """Write the records of a run and return the named inputs of the rule `report`."""
    broken = broken or Crippled()
    config, _ = expand(WRITTEN)
    files: dict[str, str | list[str]] = {
        key: [] for key in ("assessments", "datasets", "potentials", "evaluations", "simulated")
    }

    def write(key: str, name: str, data: object, many: bool = False) -> None:
        write_json(folder / name, data)
        files[key] = [*files[key], str(folder / name)] if many else str(folder / name)

    atom = new_frame(Atoms("Cu", cell=[12] * 3, pbc=True), origin="atom", config_type=ISOLATED_ATOM, name="Cu")
    atoms = [atom], [label(atom, folder / "labeled/atoms", broken.atom, broken.reason, seconds=360.0)]
    held_out = frames(6, "test", seed=99)
    tested = [label(f, folder / "labeled/test", broken.test, broken.reason) for f in held_out]
    test, _, test_record = collect(held_out, tested, *atoms)
    write("test", "testset.json", test_record)
    write("parents", "parents.json", PARENTS)
    write("structures", "structures.json", STRUCTURES)
    write("candidates", "candidates.json", {"method": "direct", "frames": 91, "chosen": 12})
    (folder / "exec_config_dump.yaml").write_text("composition: Cu\n", encoding="utf-8")
    files["dump"] = str(folder / "exec_config_dump.yaml")
    explored = {
        "walker": "T0300-0", "surrogate": "sevennet-0", "temperature_k": 300.0, "steps_asked": 1000, "steps_done": 420,
        "start_type": "surface",
        "frames": 42, "stopped": "a force of 41.0 eV/A (limit 30.0)",
    }  # fmt: skip
    write("explored", "explored/T0300-0.json", explored)

    asked: list[Atoms] = []
    labels: list[str] = []
    for generation in range(broken.generations):
        final = generation == broken.generations - 1
        for number, frame in enumerate(frames(8, "simulated" if generation else "rattle", generation, generation)):
            asked.append(frame)
            refused = generation == 0 and number == 0
            labels.append(
                label(frame, folder / "labeled/train", not refused, broken.reason, attempts=1 + (number == 1))
            )
        dataset, _, record = collect(asked, labels, *atoms)
        write("datasets", f"dataset_gen{generation}.json", record, many=True)
        found = evaluate(Model(1.10 - 0.04 * generation), dataset, test)
        write("evaluations", f"evaluation/gen{generation}.json", found, many=True)
        potential = {
            "trainer": "linear-ace", "densities": 1, "second_density": {},
            "functions": 60 + 20 * generation, "stress_offset_gpa": 1.25, "train": found["train"],
            "train_by_type": by_type([]), "versions": versions(),
            "warnings": [] if broken.atom else ["No energy of an isolated Cu atom: its reference is the mean energy."],
        }  # fmt: skip
        write("potentials", f"potential_gen{generation}.json", potential, many=True)
        walkers = [walker(generation, t, t > 500 and not (final and broken.converged)) for t in (300.0, 900.0)]
        for one in walkers:
            write("simulated", f"simulated/gen{generation}/{one['walker']}.json", one, many=True)
        decision = assess(
            walkers,
            generation=generation,
            labels_requested=len(asked),
            generations_max=broken.generations,
            label_budget=99,
        )
        write("assessments", f"assess/gen{generation}.json", decision, many=True)

    review = {
        "judged": 20, "method": "20 of 23 labels judged by a fit of 41 functions", "warnings": [], "retries": [],
        "not_judged": [{"name": "f3", "config_type": "surface", "reason": "too few labels are like it"}] * 3,
        "flagged": [{
            "name": "f2", "uid": "f2", "config_type": "rattle", "outcome": "energy_outlier", "kind": "physics",
            "reason": "the energy is 120 meV/atom above what the labels of like frames say (suspect from 50)",
        }],
        "corrected": {}, "confirmed": [],
    }  # fmt: skip
    write("review", "labeled/review.json", review)
    write("noise", "label_noise.json", NOISE)
    files.pop("review"), files.pop("noise")
    cells = [
        new_frame(
            bulk("Cu", a=A * (1 + x) ** (1 / 3), cubic=True),
            origin="eos",
            config_type="eos",
            name=f"v{k}",
            volume_change=x,
        )
        for k, x in enumerate(np.linspace(-0.08, 0.08, 7).round(6))
    ]
    marked = [label(c, folder / "labeled/eos", k < broken.eos, broken.reason) for k, c in enumerate(cells)]
    eos_set, _, eos_record = collect(cells, marked, *atoms)
    write("eos_labels", "validation/eos_dft.json", eos_record)
    audited = audit(
        {"gen0": labels, "test": tested, "eos": marked, "atoms": atoms[1]},
        collected=[folder / f"dataset_gen{broken.generations - 1}.json"],
        reviews=[folder / "labeled/review.json"],
        noise=folder / "label_noise.json",
    )
    write("audit", "audit.json", audited)
    eos, elastic, verdict = validate(eos_set, Model(1.02), found, config.validation)
    if not broken.elastic:
        elastic = {}
        verdict["checks"].pop("mechanical_stability", None)
        verdict["failures"].append("the elastic constants could not be computed (it flew apart)")
        verdict["passed"] = False
    for name, data in (("eos", eos), ("elastic", elastic), ("verdict", verdict)):
        write(name, f"validation/{name}.json", data)
    return files
