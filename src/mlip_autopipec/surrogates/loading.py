"""A surrogate from the config as an ASE calculator on one thread, with a note of what exactly was loaded."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator

from mlip_autopipec.calculators import make_calculator
from mlip_autopipec.errors import ConfigError, InputFileError, nearest
from mlip_autopipec.surrogates.archive import Family, family_of
from mlip_autopipec.surrogates.known import MODEL_SUFFIXES, SURROGATES, no_such_surrogate
from mlip_autopipec.surrogates.lean import lean
from mlip_autopipec.surrogates.provenance import note
from mlip_autopipec.surrogates.weights import cached, sha256_of, weights_path

KEY, OPTIONS, DEVICE, SHA256 = (
    f"exploration.{name}" for name in ("surrogate", "surrogate_options", "device", "surrogate_sha256")
)
_PACKAGE: dict[Family, str] = {"mace": "mace-torch", "sevennet": "sevenn"}
_OURS = {"self", "model", "models", "model_paths", "file_type", "device", "sevennet_config", "kwargs"}
_FREE = {"mace": {"head"}, "sevennet": set[str]()}  # what the calculators take without naming it


def load_surrogate(
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    sha256: str = "",
    key: str = KEY,
    options_key: str = OPTIONS,
) -> Calculator:
    """The ASE calculator of a surrogate.

    On a CPU, PyTorch is told to use one thread: walkers are many and run side by side, and two threads each on busy
    cores made an evaluation 5 to 25 times slower.

    Args:
        name: of `SURROGATES`; the path of a MACE model or of a SevenNet checkpoint; or 'package.module:Name' of any
            ASE calculator.
        options: keyword arguments of the calculator (for MACE: default_dtype, head ...).
        device: 'cpu', 'cuda', or 'auto': cuda when torch sees one. An import path gets its device in `options`.
        sha256: that the file with the weights must have, hexadecimal; '': whatever it is, it is recorded.
        key, options_key: of the config, for messages.

    Raises:
        ConfigError: no such surrogate, its package or its weights are missing, there is no GPU, wrong options.
        InputFileError: the file is missing, is no model, or has another checksum.
    """
    settings = dict(options or {})
    if name in SURROGATES:
        family: Family = "mace" if SURROGATES[name].package == _PACKAGE["mace"] else "sevennet"
        with _packaged(name, family, key):
            path = _weights_of(name, key)
            if family == "mace":
                settings = {"default_dtype": "float32"} | settings  # as their authors use it for dynamics
            return _load(name, path, family, settings, device, sha256, options_key)
    path = Path(name).expanduser()
    if ":" in name and not path.exists():
        if sha256:
            raise ConfigError(SHA256, sha256, f"{name} is no file", "Leave it out, or name a model file.")
        if device == "cuda":
            raise ConfigError(
                DEVICE, device, f"it does not reach {name}, which is made with {options_key} alone",
                f"Leave it out, and write the device into {options_key} as that calculator calls it.",
            )  # fmt: skip
        calculator: Calculator = make_calculator(name, settings, key=key, options_key=options_key, names=SURROGATES)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        note(calculator, name, options=settings)
        return calculator
    if os.sep in name or path.suffix in MODEL_SUFFIXES or path.is_file():
        family = family_of(path)
        with _packaged(name, family, key):
            return _load(name, path, family, settings, device, sha256, options_key)
    raise no_such_surrogate(name, key)


def _weights_of(name: str, key: str) -> Path:
    """The file with a known surrogate's weights."""
    if not SURROGATES[name].entry:
        return Path(importlib.import_module("sevenn.util").pretrained_name_to_path("7net-0"))
    path = cached(name)
    if path is None:
        known, place = SURROGATES[name], weights_path(name)
        if place is None:
            raise ImportError(f"{known.package} is not installed, or does not know '{known.entry}'")
        problem = f"its weights are not whole ({place})" if place.exists() else f"its weights are not here ({place})"
        raise ConfigError(
            key, name, problem,
            f"On a machine with a network run `python -m mlip_autopipec.surrogates fetch {name}` (and copy the file to "
            "where it belongs), or choose sevennet-0, whose weights come with its package.",
        )  # fmt: skip
    return path


@contextlib.contextmanager
def _packaged(name: str, family: Family, key: str) -> Any:
    """Turn a missing package into the message that says so."""
    try:
        yield
    except ImportError as error:
        package = _PACKAGE[family]
        raise ConfigError(
            key, name, f"the package {package} cannot be used ({error})",
            "Run make setup, which installs it (envs/requirements.txt has its version).",
        ) from None  # fmt: skip


def _load(
    name: str, path: Path, family: Family, options: dict[str, Any], device: str, sha256: str, options_key: str
) -> Calculator:
    found, published = sha256_of(path), SURROGATES[name].sha256 if name in SURROGATES else ""
    # Before the file is loaded: a model file is a pickle, and runs what it holds.
    if published and found != published:
        raise InputFileError(
            path, f"its SHA-256 is {found}, not {published}, which its authors published",
            f"Remove it, and run `python -m mlip_autopipec.surrogates fetch {name}`.",
        )  # fmt: skip
    if sha256 and found != sha256.lower():
        raise InputFileError(
            path, f"its SHA-256 is {found}, not {sha256.lower()}",
            f"Mend {SHA256}, or leave it out for {name}." if name in SURROGATES else
            f"Copy it again; or, if this is the file that you mean, mend {SHA256}.",
        )  # fmt: skip
    torch = importlib.import_module("torch")
    where = _device(torch, device)
    maker = _calculator_class(family)
    known = set(inspect.signature(maker.__init__).parameters) - _OURS | _FREE[family]
    for option in options:
        if option not in known:
            raise ConfigError(
                f"{options_key}.{option}", options[option], f"{maker.__name__} has no such option",
                f"Known: {', '.join(sorted(known))}.{nearest(option, known)}",
            )  # fmt: skip
    if where == "cpu":
        torch.set_num_threads(1)
    calculator = (_mace if family == "mace" else _sevennet)(torch, lean(maker, family), path, where, options)
    note(calculator, name, file=path, sha256=found, package=_PACKAGE[family], device=where, options=options)
    return calculator


def _device(torch: Any, device: str) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(DEVICE, device, "no such device", "Write auto, cpu or cuda.")
    seen = bool(torch.cuda.is_available())
    if device == "cuda" and not seen:
        raise ConfigError(
            DEVICE, device, f"PyTorch {torch.__version__} sees no GPU",
            "Write auto or cpu; or ask for a GPU in the job, and install a PyTorch built for CUDA.",
        )  # fmt: skip
    return "cuda" if seen and device != "cpu" else "cpu"


def _calculator_class(family: Family) -> Any:
    if family == "sevennet":
        return importlib.import_module("sevenn.calculator").SevenNetCalculator
    # MACE prints what it lacks, and makes every torch.load of the process trust its file: both are kept here.
    variable = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(variable)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module("mace.calculators").MACECalculator
    finally:
        if before is None:
            os.environ.pop(variable, None)


def _sevennet(torch: Any, maker: Any, path: Path, device: str, options: Mapping[str, Any]) -> Calculator:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No tensor product accelerator")
        try:
            calculator: Calculator = maker(model=str(path), device=device, **options)
        except Exception as error:
            raise _unloadable(path, "sevenn", error) from None
    return calculator


def _mace(torch: Any, maker: Any, path: Path, device: str, options: Mapping[str, Any]) -> Calculator:
    try:
        model = torch.load(path, map_location=device, weights_only=False)
        if not all(hasattr(model, part) for part in ("atomic_numbers", "r_max", "products")):
            raise TypeError(f"a {type(model).__name__}, not a model with energies and forces")
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        calculator: Calculator = maker(models=[model], device=device, **({"default_dtype": dtype} | dict(options)))
    except Exception as error:
        raise _unloadable(path, "mace-torch", error) from None
    return calculator


def _unloadable(path: Path, package: str, error: Exception) -> InputFileError:
    said = (str(error).splitlines() or [""])[0][:300]
    return InputFileError(
        path, f"{package} cannot load it ({type(error).__name__}: {said})",
        f"Copy it again, mend {OPTIONS}, or name a model that this version of {package} can read.",
    )  # fmt: skip
