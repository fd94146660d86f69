"""An engine that labels at once, and a bench that runs jobs with it."""

import threading
import time

from ase.build import bulk

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import new_frame, write_frames
from mlip_autopipec.labelling import campaign
from mlip_autopipec.labelling.campaign import label_job
from mlip_autopipec.labelling.labeller import Attempt, Label
from mlip_autopipec.labelling.ledger import Ledger, turns

VALUES = {
    "pseudo_dir": [], "pseudopotentials": {"Si": "Si.UPF"}, "ecutwfc_ry": 20, "ecutrho_ry": 80, "kmesh": [1, 1, 1],
    "smearing": "gaussian", "degauss_ry": 0.005, "nspin": 1, "starting_magnetization": {}, "magnetic_states": [],
    "kspacing_per_angstrom": 0.2,
}  # fmt: skip


def settings(**change):
    return Labelling(**(VALUES | change))


def frames(number):
    made = []
    for seed in range(number):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=seed)
        made.append(new_frame(atoms, origin="t", config_type="rattle"))
    return made


class Engine:
    """Labels at once; `ends` names what happens to a frame instead (kinds, in the order of its runs)."""

    name, outcome, again, reason = "fake", "truncated", False, None

    def __init__(self, config, ends=None, seconds=3.6):
        self.surface, self.ends, self.seconds = config.surface(), ends or {}, seconds
        self.started, self.at_once, self.most_at_once, self.lock = [], 0, 0, threading.Lock()

    def label(self, atoms, workdir, *, ranks=1, seconds=None):
        with self.lock:
            self.started.append(atoms.info["uid"])
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.02)
        with self.lock:
            self.at_once -= 1
        kinds = self.ends.get(atoms.info["uid"], [])
        kind = kinds.pop(0) if kinds else "ok"
        if kind == "configuration":
            raise ConfigurationFault("the set-up is wrong", "Mend it")
        ok = kind == "ok"
        outcome = "ok" if ok else self.outcome
        return Label(
            accepted=ok, outcome=outcome, kind=kind, reason=self.reason or f"it was {kind}", natoms=len(atoms),
            uid=atoms.info["uid"], energy_ev=-1.0 if ok else None, forces=[(0, 0, 0)] * len(atoms) if ok else None,
            stress=(0,) * 6 if ok else None, engine="fake", wall_seconds=self.seconds, core_seconds=self.seconds,
            attempts=[Attempt(folder="attempt_1", outcome=outcome, reason="", wall_seconds=3.6)],
            settings={"surface": self.surface}, output_file="attempt_1/pw.out",
        )  # fmt: skip


class Bench:
    """A folder with frames of a batch, an engine that counts, and a way to run jobs."""

    def __init__(self, folder, monkeypatch, number=4, batch="gen0", made=None):
        self.labeled, self.batch = folder / "labeled", batch
        self.frames = made if made is not None else frames(number)
        self.file = folder / "frames" / f"{batch}.extxyz"
        write_frames(self.file, self.frames)
        self.names = [f.info.get("name", f.info["uid"]) for f in self.frames]
        self.engine = Engine(settings())
        monkeypatch.setattr(campaign, "make_labeller", lambda config: self.engine)

    def run(self, names=None, config=None, **more):
        names = self.names if names is None else names
        return label_job(self.file, names, config or settings(), folder=self.labeled, batch=self.batch, **more)

    def label(self, k):
        return self.labeled / self.batch / f"{self.names[k]}.json"

    def turns(self, budget=None):
        return turns(Ledger(self.labeled), self.batch, self.names, budget)
