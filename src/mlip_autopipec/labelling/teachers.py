"""An ASE calculator from the config: found, made once in a process, and asked whether it can label at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from mlip_autopipec.calculators import distribution_of, make_calculator
from mlip_autopipec.errors import ConfigError, ConfigurationFault
from mlip_autopipec.surrogates import PACKAGES, SURROGATES, load_surrogate

KEY, OPTIONS = "labelling.calculator", "labelling.calculator_options"
_made: dict[str, Any] = {}


def teacher(path: str, options: Mapping[str, Any]) -> Any:
    """The calculator of an import path or of a surrogate's name; the same object at every call in a process.

    Models take seconds to load and hundreds of MB: a job loads them once for all of its labels.

    Raises:
        ConfigError: there is none, its package is missing, it cannot be made with these options, or what was made is
            no ASE calculator with energies and forces.
    """
    key = json.dumps([path, dict(options)], sort_keys=True, default=repr)
    if key not in _made:
        _made[key] = _make(path, options)
    return _made[key]


def _make(path: str, options: Mapping[str, Any]) -> Any:
    if not path:
        raise ConfigError(
            KEY, path, "the engine calculator needs one",
            f"Write 'package.module:Name', or the name of a surrogate: {', '.join(SURROGATES)}.",
        )  # fmt: skip
    if path in SURROGATES:
        return load_surrogate(path, options=options, key=KEY, options_key=OPTIONS)
    return make_calculator(path, options, key=KEY, options_key=OPTIONS, names=SURROGATES)


def probe(path: str, calculator: Any, elements: Sequence[str]) -> None:
    """Compute a few atoms of these elements: a teacher that cannot, cannot label.

    The atoms stand in a row in a large box, one covalent bond apart (Cordero et al., Dalton Trans. 2832 (2008), as
    tabulated in ASE); their numbers are not looked at beyond being finite.

    Raises:
        ConfigurationFault: the teacher does not know an element, or fails.
    """
    unknown = {symbol: said for symbol in elements if (said := _failure(calculator, [symbol, symbol]))}
    if unknown:
        symbols = ", ".join(unknown)
        raise ConfigurationFault(
            f"The calculator {path} (labelling.calculator) cannot compute {symbols}: {next(iter(unknown.values()))}",
            "Name a calculator that knows these elements, or another composition",
        )
    if len(elements) > 1 and (said := _failure(calculator, list(elements))):
        raise ConfigurationFault(
            f"The calculator {path} (labelling.calculator) cannot compute {', '.join(elements)} together: {said}",
            "Name a calculator that knows all of them at once",
        )


def _failure(calculator: Any, symbols: Sequence[str]) -> str | None:
    """What the calculator says when it fails on a row of these atoms."""
    radii = [float(covalent_radii[atomic_numbers[symbol]]) for symbol in symbols]
    places = np.concatenate([[0.0], np.cumsum([a + b for a, b in pairwise(radii)])])
    row = Atoms(symbols, positions=[[0.0, 0.0, z] for z in places], pbc=True)
    row.center(vacuum=8.0)
    try:
        row.calc = calculator
        numbers = [row.get_potential_energy(), *row.get_forces().ravel()]
    except Exception as error:  # the calculator's own code
        return f"{type(error).__name__}: {str(error)[:300]}"
    return None if np.isfinite(numbers).all() else "its energy or forces are not finite"


@cache
def provenance(path: str) -> str:
    """The calculator and the version of the package that it comes from."""
    module = PACKAGES.get(path) or path.partition(":")[0]
    distribution, release = distribution_of(module)
    return f"{path}, {distribution} {release}" if distribution else f"{path}, a module of no installed package"
