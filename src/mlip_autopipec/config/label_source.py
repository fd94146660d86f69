"""What the labels of a run are: density functional theory, or the word of a teacher."""

from __future__ import annotations

from dataclasses import dataclass

from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.surrogates.known import SURROGATES

SURROGATE_NAMES = {name: known.title.partition(" (")[0] for name, known in SURROGATES.items()}
# Packages by what their ASE calculators are.
MACHINE_LEARNED = frozenset(
    {"sevenn", "mace", "chgnet", "matgl", "m3gnet", "fairchem", "orb_models", "mattersim", "nequip", "allegro",
     "deepmd", "torchani", "aimnet", "alignn", "grace", "tensorpotential", "pyace", "quippy", "mlip_autopipec"}
)  # fmt: skip
EMPIRICAL = frozenset(
    {"emt", "lj", "morse", "eam", "tersoff", "tip3p", "tip4p", "harmonic", "ff", "gulp", "kim"}
)  # modules of ase.calculators
DFT_PROGRAMS = frozenset({"espresso", "vasp", "abinit", "aims", "castep", "cp2k", "siesta", "gpaw", "dmol", "elk"})


@dataclass(frozen=True)
class LabelSource:
    """What made the labels.

    Attributes:
        engine: `labelling.engine`.
        name: the program, or the teacher.
        kind: what it is, in a few words.
        dft: whether the labels are density functional theory; None where that is not known here.
        column: the name of its numbers beside those of the potential.
    """

    engine: str
    name: str
    kind: str
    dft: bool | None
    column: str

    @property
    def words(self) -> str:
        """The same as a sentence."""
        if self.dft:
            return f"Labels: {self.name}, {self.kind}."
        if self.dft is None:
            return f"Labels: {self.name} ({self.kind}); whether that is density functional theory is not known here."
        return f"Labels: {self.name} ({self.kind}), not density functional theory."


def label_source(settings: Labelling) -> LabelSource:
    """What makes the labels of a run with these settings."""
    engine = settings.engine
    if engine == "espresso":
        return LabelSource(engine, "Quantum ESPRESSO", "density functional theory", True, "DFT")
    if engine == "vasp":
        kind = "density functional theory; this program was never run with a real VASP"
        return LabelSource(engine, "VASP", kind, True, "DFT")
    if engine != "calculator":
        return LabelSource(engine, engine, "an engine of an installed package", None, "labels")
    path = settings.calculator
    if path in SURROGATE_NAMES:
        return LabelSource(engine, SURROGATE_NAMES[path], "a machine-learned teacher", False, "teacher")
    module = path.partition(":")[0].split(".")
    if module[0] in MACHINE_LEARNED:
        return LabelSource(engine, path, "a machine-learned teacher", False, "teacher")
    if module[:2] == ["ase", "calculators"] and len(module) > 2:
        if module[2] in EMPIRICAL:
            return LabelSource(engine, path, "an empirical potential as teacher", False, "teacher")
        if module[2] in DFT_PROGRAMS:
            return LabelSource(engine, path, "density functional theory through ASE", True, "DFT")
    if module[0] == "gpaw":
        return LabelSource(engine, path, "density functional theory through ASE", True, "DFT")
    return LabelSource(engine, path, "an ASE calculator as teacher", None, "teacher")
