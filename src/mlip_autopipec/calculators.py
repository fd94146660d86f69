"""Any ASE calculator by its import path: found, made with options, and looked at before it is used."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from ase.calculators.calculator import BaseCalculator, Calculator, FileIOCalculator

from mlip_autopipec.errors import ConfigError, nearest


def make_calculator(
    path: str, options: Mapping[str, Any], *, key: str, options_key: str, names: Collection[str] = ()
) -> Any:
    """Call what an import path names with keyword arguments; an ASE calculator with energies and forces.

    Args:
        path: 'package.module:Name' of a class or a function.
        key, options_key: of the config, for messages.
        names: what else could have been written for `path`, for messages.

    Raises:
        ConfigError: there is none, its package is missing, it cannot be made with these options, or what was made is
            no ASE calculator with energies and forces.
    """
    maker = named(path, key=key, names=names)
    _refuse_unknown(maker, path, options, options_key)
    try:
        calculator = maker(**options)
    except Exception as error:  # the user's own code: whatever it raises, there is no calculator
        raise ConfigError(
            options_key, dict(options), f"{path} cannot be made with them ({type(error).__name__}: {error})",
            "Write the keyword arguments that it takes; paths are relative to where snakemake is started.",
        ) from None  # fmt: skip
    return checked(path, calculator, key=key)


def _refuse_unknown(maker: Any, path: str, options: Mapping[str, Any], key: str) -> None:
    """ASE's own calculators take any keyword argument and forget those that they do not know: a typing error would
    change nothing, in silence. Programs that write input files want words that ASE does not list."""
    known = dict(getattr(maker, "default_parameters", None) or {})
    if not (known and isinstance(maker, type) and issubclass(maker, Calculator)) or issubclass(maker, FileIOCalculator):
        return
    known |= dict.fromkeys(inspect.signature(maker).parameters) | dict.fromkeys(
        inspect.signature(Calculator).parameters
    )
    for name in options:
        if name not in known:
            words = ", ".join(word for word in known if word not in ("args", "kwargs"))
            raise ConfigError(key, name, f"{path} has no such option", f"It has {words}.{nearest(name, known)}")


def named(path: str, *, key: str, names: Collection[str] = ()) -> Any:
    """The class or function of an import path.

    Raises:
        ConfigError: it is no import path, cannot be imported, or names nothing that can be called.
    """
    module, colon, name = path.partition(":")
    if not colon or not module or not name:
        raise ConfigError(
            key, path, "not an import path, nor the name of a surrogate",
            f"Write 'package.module:Name', for example 'mace.calculators:mace_mp', or the name of a surrogate: "
            f"{', '.join(names)}.{nearest(path, names)}",
        )  # fmt: skip
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing == module.partition(".")[0]:
            raise ConfigError(
                key, path, f"the package {missing} is not installed",
                "Install it into the environment of the jobs, or put your module's folder into PYTHONPATH.",
            ) from None  # fmt: skip
        problem = f"there is no module {missing}" if module.startswith(missing) else f"{module} needs {missing}"
        raise ConfigError(key, path, problem, "Mend the path, or install what is missing.") from None
    except Exception as error:  # importing runs the user's own code
        raise ConfigError(
            key, path, f"{module} cannot be imported ({type(error).__name__}: {error})", "Mend it, or its installation."
        ) from None
    for part in name.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise ConfigError(key, path, f"{module} has no {part}", f"Mend the name.{nearest(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(
            key, path, "neither a class nor a function", "Name what returns an ASE calculator when it is called."
        )
    return found


def checked(path: str, calculator: Any, *, key: str) -> Any:
    """The calculator, if it is one of ASE's with energies and forces.

    Raises:
        ConfigError: it is not.
    """
    needed = ("get_potential_energy", "get_forces", "calculation_required")  # ASE's older interface
    if not isinstance(calculator, BaseCalculator) and not all(callable(getattr(calculator, n, None)) for n in needed):
        raise ConfigError(
            key, path, f"what it returns is no ASE calculator but a {type(calculator).__name__}",
            "Name a class or function that returns one (ase.calculators.calculator.Calculator).",
        )  # fmt: skip
    properties = getattr(calculator, "implemented_properties", ("energy", "forces"))
    if absent := [name for name in ("energy", "forces") if name not in properties]:
        raise ConfigError(key, path, f"it has no {' and no '.join(absent)}", "Both are needed: name another one.")
    return calculator


def distribution_of(module: str) -> tuple[str, str]:
    """Name and version of the installed package that a module comes from; ('', '') when it comes from none."""
    top = module.partition(".")[0]
    for distribution in packages_distributions().get(top, [top]):
        try:
            return distribution, version(distribution)
        except PackageNotFoundError:
            continue
    return "", ""
