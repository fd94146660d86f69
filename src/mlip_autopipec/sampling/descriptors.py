"""A vector for every structure, from SOAP or from the surrogate's own invariants of its atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.errors import ConfigError, DataError
from mlip_autopipec.features import PARTS, structure_vector
from mlip_autopipec.surrogates import loader_of_invariants

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mlip_autopipec.config.full import Config, Sampling

UNCOMPRESSED_ELEMENTS = 3
"""Elements up to which 'auto' leaves SOAP as it is: its length goes with their square, with mu1nu1 linearly."""

Vectors = NDArray[np.float32]


class Describer(Protocol):
    """Makes the vector of a structure.

    Attributes:
        key: says what the vectors depend on; vectors of the same key can be compared.
        columns: length of a vector; 0 where it is not known before the first one.
    """

    @property
    def key(self) -> str: ...

    @property
    def columns(self) -> int: ...

    def __call__(self, frame: Atoms) -> Vectors: ...


class Soap:
    """SOAP (Bartok, Kondor, Csanyi, PRB 87, 184115, 2013; dscribe), compressed for many elements (Darby, Kermode,
    Csanyi, npj Comput. Mater. 8, 166, 2022): a vector that needs no model.

    Args:
        elements: all that the frames may hold; vectors of other elements cannot be compared.
    """

    def __init__(self, settings: Sampling, elements: Iterable[str]) -> None:
        from dscribe.descriptors import SOAP  # slow to import

        self.elements = sorted(set(elements))
        mode = settings.soap_compression
        if mode == "auto":
            mode = "off" if len(self.elements) <= UNCOMPRESSED_ELEMENTS else "mu1nu1"
        parameters: dict[str, Any] = {
            "r_cut": settings.soap_cutoff_angstrom,
            "n_max": settings.soap_n_max,
            "l_max": settings.soap_l_max,
            "sigma": settings.soap_sigma_angstrom,
            "compression": {"mode": mode, "species_weighting": None},
        }
        self.key = f"soap {' '.join(self.elements)} {sorted(parameters.items())}"
        # mu2 knows one density of all elements: their numbers as weights keep unlike atoms apart
        if mode == "mu2":
            weights = {s: 1.0 + k / max(len(self.elements), 1) for k, s in enumerate(self.elements)}
            parameters["compression"] = {"mode": mode, "species_weighting": weights}
        self._soap = SOAP(species=self.elements, periodic=True, **parameters) if self.elements else None
        self.columns = PARTS * self._soap.get_number_of_features() if self._soap else 0

    def __call__(self, frame: Atoms) -> Vectors:
        other = sorted(set(frame.get_chemical_symbols()) - set(self.elements))
        if other or self._soap is None:
            raise DataError(
                f"frame {frame.info.get('uid', '')} holds {', '.join(other) or 'nothing'}, and the others "
                f"{', '.join(self.elements)}: give all elements to the descriptor"
            )
        return structure_vector(self._soap.create(frame), frame.numbers)


class Surrogate:
    """The invariants that the surrogate's network has of every atom, read off after an evaluation.

    Args:
        load: gives the calculator, and what reads the invariants of its latest evaluation by `last()` (atoms, F) and
            names its model by `key`. It is called when they are needed: a file whose vectors the walker left costs no
            model where the key is given.
        key: of the model; without it the model says it.

    Raises:
        ConfigError: when the model is needed and has no invariants to read.
    """

    def __init__(self, load: Callable[[], tuple[Calculator, Any]], key: str = "") -> None:
        self.columns = 0
        self._key, self._load = key, load
        self._loaded: tuple[Calculator, Any] | None = None

    @property
    def key(self) -> str:
        if not self._key:
            self._key = str(self._model()[1].key)
        return self._key

    def _model(self) -> tuple[Calculator, Any]:
        if self._loaded is None:
            self._loaded = self._load()
        if self._loaded[1] is None:
            raise ConfigError(
                "sampling.descriptor", "surrogate", "this surrogate has no invariants that can be read",
                "Write soap, or take mace-mp or sevennet-0 as the surrogate.",
            )  # fmt: skip
        return self._loaded

    def __call__(self, frame: Atoms) -> Vectors:
        calculator, invariants = self._model()
        atoms = Atoms(numbers=frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
        calculator.reset()  # the same atoms again would be answered from memory, and `last` be another frame's
        atoms.calc = calculator
        atoms.get_potential_energy()
        vector = structure_vector(invariants.last(), frame.numbers)
        self.columns = len(vector)
        return vector


def describer(
    settings: Sampling,
    elements: Iterable[str],
    load: Callable[[], tuple[Calculator, Any]] | None = None,
    key: str = "",
) -> Describer:
    """The descriptor of the settings.

    Args:
        elements: all that any frame of the run may hold.
        load, key: of `Surrogate`, where `settings.descriptor` asks for it.
    """
    if settings.descriptor == "soap":
        return Soap(settings, elements)
    if load is None:
        raise ValueError("the surrogate's invariants need the surrogate")
    return Surrogate(load, key)


def configured_describer(config: Config) -> Describer:
    """The descriptor of a run: the same for every file of it. The surrogate is loaded when a vector needs it."""
    load = loader_of_invariants(config.exploration, config.elements)
    return describer(config.sampling, config.elements, load)


def vectors_of(frames: Iterable[Atoms], describer: Describer) -> Vectors:
    """(frames, columns) float32.

    Raises:
        DataError: a descriptor is not finite.
    """
    rows = [checked(describer(frame), f"frame {k} ({frame.info.get('uid', '')})") for k, frame in enumerate(frames)]
    return np.array(rows, dtype=np.float32).reshape(len(rows), -1 if rows else describer.columns)


def checked(vector: Vectors, what: str) -> Vectors:
    """The vector, if it is finite."""
    if not np.isfinite(vector).all():
        raise DataError(f"{what} has a descriptor that is not a number")
    return vector


def elements_of(frames: Iterable[Atoms]) -> list[str]:
    """Chemical symbols in the frames, sorted."""
    return sorted({symbol for frame in frames for symbol in frame.get_chemical_symbols()})
