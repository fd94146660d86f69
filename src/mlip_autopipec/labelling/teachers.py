"""An ASE calculator from the config: found, made once in a process, and asked whether it can label at all."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers, covalent_radii

from mlip_autopipec.errors import ConfigError, ConfigurationFault, nearest
from mlip_autopipec.surrogates import PACKAGES, SURROGATES, load_surrogate

KEY, OPTIONS = "labelling.calculator", "labelling.calculator_options"
_EXAMPLE = "Write 'package.module:Name', for example 'mace.calculators:mace_mp', or the name of a surrogate: "
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
        _made[key] = _checked(path, _make(path, options))
    return _made[key]


def _make(path: str, options: Mapping[str, Any]) -> Any:
    if not path:
        raise ConfigError(KEY, path, "the engine calculator needs one", _EXAMPLE + f"{', '.join(SURROGATES)}.")
    if path in SURROGATES:
        if options:
            raise ConfigError(OPTIONS, dict(options), f"{path} has no options", "Leave them out.")
        try:
            return load_surrogate(path)
        except ImportError as error:
            package = PACKAGES[path]
            raise ConfigError(KEY, path, f"its package cannot be used ({error})", f"pip install {package}") from None
    maker = _named(path)
    try:
        return maker(**options)
    except Exception as error:  # the user's own code: whatever it raises, nothing can be labelled
        raise ConfigError(
            OPTIONS, dict(options), f"{path} cannot be made with them ({type(error).__name__}: {error})",
            "Write the keyword arguments that it takes; paths are relative to where snakemake is started.",
        ) from None  # fmt: skip


def _named(path: str) -> Any:
    """The class or function of an import path."""
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise ConfigError(
            KEY, path, "not an import path, nor the name of a surrogate",
            _EXAMPLE + f"{', '.join(SURROGATES)}.{nearest(path, SURROGATES)}",
        )  # fmt: skip
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing == module.partition(".")[0]:
            raise ConfigError(
                KEY, path, f"the package {missing} is not installed",
                "Install it into the environment of the jobs, or put your module's folder into PYTHONPATH.",
            ) from None  # fmt: skip
        problem = f"there is no module {missing}" if module.startswith(missing) else f"{module} needs {missing}"
        raise ConfigError(KEY, path, problem, "Mend the path, or install what is missing.") from None
    except Exception as error:  # importing runs the user's own code
        raise ConfigError(
            KEY, path, f"{module} cannot be imported ({type(error).__name__}: {error})", "Mend it, or its installation."
        ) from None
    for part in name.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise ConfigError(KEY, path, f"{module} has no {part}", f"Mend the name.{nearest(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(
            KEY, path, "neither a class nor a function", "Name what returns an ASE calculator when it is called."
        )
    return found


def _checked(path: str, made: Any) -> Any:
    needed = ("get_potential_energy", "get_forces")
    if not isinstance(made, BaseCalculator) and not all(callable(getattr(made, name, None)) for name in needed):
        raise ConfigError(
            KEY, path, f"what it returns is no ASE calculator but a {type(made).__name__}",
            "Name a class or function that returns one (ase.calculators.calculator.Calculator).",
        )  # fmt: skip
    properties = getattr(made, "implemented_properties", ("energy", "forces"))
    if absent := [name for name in ("energy", "forces") if name not in properties]:
        raise ConfigError(KEY, path, f"it has no {' and no '.join(absent)}", "Labels need both: name another one.")
    return made


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
    top = PACKAGES.get(path) or path.partition(":")[0].partition(".")[0]
    for distribution in packages_distributions().get(top, [top]):
        try:
            return f"{path}, {distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return f"{path}, a module of no installed package"
