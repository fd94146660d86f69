"""Labels from any ASE calculator: a teacher in place of density functional theory."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorSetupError, PropertyNotImplementedError

from mlip_autopipec.artifacts import write_json
from mlip_autopipec.config.labelling import Labelling
from mlip_autopipec.errors import ConfigurationFault
from mlip_autopipec.frames import has_vacuum
from mlip_autopipec.labelling.espresso.verdict import close_pair
from mlip_autopipec.labelling.labeller import Attempt, Label
from mlip_autopipec.labelling.plausible import Bounds, Refusal, refused
from mlip_autopipec.labelling.teachers import probe, provenance, teacher

RAW = "calculator.json"
# What a calculator raises when its code, its installation or its options are wrong, and not the frame.
_SETUP = (ImportError, NotImplementedError, AttributeError, NameError, TypeError, CalculatorSetupError)
_MACHINE = ("out of memory", "cuda error", "no space left", "cannot allocate")
_one_at_a_time = threading.Lock()  # calculators keep their last results in themselves


class CalculatorLabeller:
    """Labels frames with an ASE calculator, which is made once in a process. One evaluation, nothing to recover."""

    name = "calculator"

    def __init__(self, path: str, options: Mapping[str, Any], bounds: Bounds, surface: Mapping[str, Any]) -> None:
        """Make the calculator, or take the one that was made before.

        Args:
            path: import path or name of a surrogate, see `teachers.teacher`.
            surface: what decides on the potential energy surface, written into every label.

        Raises:
            ConfigError: there is no such calculator.
        """
        self.path, self.bounds, self.surface = path, bounds, dict(surface)
        self.calculator = teacher(path, options)

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> CalculatorLabeller:
        """A labeller from the `labelling` section of the full configuration.

        Raises:
            ConfigError: as the constructor.
        """
        settings = Labelling.model_validate(dict(section))
        bounds = Bounds.from_config(section)
        return cls(settings.calculator, settings.calculator_options, bounds, settings.surface())

    def check(self, elements: Sequence[str]) -> None:
        """Compute a few atoms of these elements.

        Raises:
            ConfigurationFault: the calculator does not know an element, or fails.
        """
        probe(self.path, self.calculator, elements)

    def label(self, atoms: Atoms, workdir: Path, *, ranks: int = 1, seconds: float | None = None) -> Label:
        """Label one frame. See `Labeller.label`.

        The energy is the one that the forces are the slope of (ASE's free energy, where the calculator has one). The
        stress of a frame with vacuum is not asked for: it is no property of the material.

        Args:
            ranks, seconds: without meaning here; an evaluation can be neither split nor stopped.
        """
        if close := close_pair(atoms, self.bounds.minimum_distance_fraction):
            # Teachers were not trained there: SevenNet-0 gives a Si dimer at 0.5 A -3807 eV.
            return self._label(atoms, Refusal("atoms_too_close", "structure", close), 0.0, 0.0)
        folder = Path(workdir) / "attempt_1"
        folder.mkdir(parents=True, exist_ok=True)
        wall, cpu = time.monotonic(), time.process_time()
        with _one_at_a_time:
            found = self._evaluate(atoms, folder)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        if isinstance(found, Refusal):
            return self._label(atoms, found, wall, cpu)
        energy, forces, stress, without = found
        write_json(
            folder / RAW,
            {
                "calculator": provenance(self.path),
                "energy_ev": energy,
                "forces_ev_per_angstrom": forces.tolist(),
                "stress_ev_per_angstrom3": None if stress is None else stress.tolist(),
            },
        )
        if refusal := refused(len(atoms), energy, forces, stress, self.bounds):
            return self._label(atoms, refusal, wall, cpu)
        numbers = {
            "energy_ev": energy,
            "forces": [tuple(map(float, force)) for force in forces],
            "stress": None if stress is None else tuple(map(float, stress)),
            "without_stress": without,
        }
        return self._label(atoms, Refusal("ok", "ok", f"computed by {self.path}"), wall, cpu, numbers)

    def _evaluate(
        self, atoms: Atoms, folder: Path
    ) -> tuple[float, np.ndarray, np.ndarray | None, str | None] | Refusal:
        """Energy, forces, stress and why there is no stress; or why there are no numbers."""
        frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        calculator = self.calculator
        try:
            if hasattr(calculator, "reset"):
                calculator.reset()  # nothing of the frame before, not even after it failed
            if hasattr(calculator, "directory"):
                calculator.directory = str(folder)
            frame.calc = calculator
            forces = np.array(frame.get_forces(), dtype=float)
            energy = self._energy(frame)
        except MemoryError as error:
            return Refusal("out_of_memory", "infrastructure", f"{self.path}: {error or 'out of memory'}")
        except OSError as error:
            return Refusal("error", "infrastructure", f"{self.path}: {type(error).__name__}: {error}")
        except _SETUP as error:
            self._stop(error)
        except Exception as error:  # the calculator's own code
            said = f"{self.path} failed on this frame: {type(error).__name__}: {str(error)[:500]}"
            machine = any(words in str(error).lower() for words in _MACHINE)
            return Refusal("error", "infrastructure" if machine else "physics", said)
        if not frame.pbc.all() or has_vacuum(atoms):
            return energy, forces, None, "there is vacuum: a stress is no property of the material"
        try:
            return energy, forces, np.array(frame.get_stress(), dtype=float), None
        except (PropertyNotImplementedError, NotImplementedError):
            return energy, forces, None, f"{self.path} computes no stress"
        except Exception as error:
            return Refusal("error", "physics", f"{self.path} gave no stress: {type(error).__name__}: {error}")

    @staticmethod
    def _energy(frame: Atoms) -> float:
        try:
            return float(frame.get_potential_energy(force_consistent=True))
        except (PropertyNotImplementedError, TypeError, KeyError):  # no free energy, or never heard of it
            return float(frame.get_potential_energy())

    def _stop(self, error: BaseException) -> NoReturn:
        raise ConfigurationFault(
            f"The calculator {self.path} (labelling.calculator) cannot be used: {type(error).__name__}: {error}",
            "Mend it, its installation or labelling.calculator_options",
        ) from None

    def _label(
        self, atoms: Atoms, ending: Refusal, wall: float, cpu: float, numbers: Mapping[str, Any] | None = None
    ) -> Label:
        attempts = []
        if wall:
            times = {"cpu_seconds": round(cpu, 4), "wall_seconds": round(wall, 4)}
            one = {"folder": "attempt_1", "outcome": ending.outcome, "reason": ending.reason, **times}
            attempts.append(Attempt.model_validate(one))
        without = (numbers or {}).get("without_stress")
        lacking = [without] if without and "computes no stress" in without else []
        return Label(
            accepted=numbers is not None,
            outcome=ending.outcome,
            kind=ending.kind,
            reason=ending.reason,
            natoms=len(atoms),
            uid=atoms.info.get("uid"),
            warnings=lacking,
            attempts=attempts,
            output_file=f"attempt_1/{RAW}" if numbers is not None else None,
            engine=self.name,
            engine_version=provenance(self.path),
            cpu_seconds=round(cpu, 4),
            wall_seconds=round(wall, 4),
            core_seconds=round(wall, 4),
            settings={"surface": self.surface, "limits": self.bounds.__dict__},
            **(numbers or {}),
        )
