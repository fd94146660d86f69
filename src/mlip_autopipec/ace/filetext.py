"""Pieces shared by the readers and writers of potential files: numbers, checked loading, checked fields."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.errors import DataError, InputFileError

MEND = "Write the potential again, or copy the file from where it came."

# Both names of the embedding are the identity for m = 1; anything else would silently mean something else.
EMBEDDINGS = ("FinnisSinclairShiftedScaled", "FinnisSinclair")

_COUNT = re.compile(r"functions: (\d+)")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loader whose mappings may have sequences as keys, and in which `No` is nobelium."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        pairs = [(self.construct_object(k, deep=True), self.construct_object(v, deep=True)) for k, v in node.value]
        return {tuple(k) if isinstance(k, list) else k: v for k, v in pairs}


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader._mapping)


def load_yaml(path: str | os.PathLike[str]) -> tuple[dict[Any, Any], int | None]:
    """The mapping in a YAML file and the number of functions that its first line promises (None: no promise).

    Raises:
        InputFileError: missing, truncated, not YAML or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        data = yaml.load(text, Loader=_Loader)
    except FileNotFoundError:
        raise InputFileError(path, "no such file", "Check the name, or train the potential first.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError) as error:
        raise InputFileError(path, f"not a whole YAML file ({' '.join(str(error).split())[:200]})", MEND) from None
    if not isinstance(data, dict):
        raise InputFileError(path, "holds no potential (no keys at the top level)", MEND)
    found = _COUNT.search(text.split("\n", 1)[0]) if text.startswith("#") else None
    return data, int(found.group(1)) if found else None


def field(data: Any, key: Any, path: object, where: str) -> Any:
    """`data[key]`, or an InputFileError that names what is missing where."""
    if not isinstance(data, Mapping) or key not in data:
        raise InputFileError(path, f"{where} has no '{key}'", MEND)
    return data[key]


def number(value: float) -> str:
    """Shortest text that reads back as the same float, in every YAML reader (they want a dot before an exponent)."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def numbers(values: Any) -> str:
    """Nested arrays of floats as YAML flow."""
    if isinstance(values, (list, tuple, np.ndarray)):
        return "[" + ", ".join(numbers(v) for v in values) + "]"
    return number(values)


def integers(values: Any) -> str:
    """Integers as YAML flow."""
    return "[" + ", ".join(str(int(v)) for v in values) + "]"


def quoted(text: str) -> str:
    """A string that YAML reads back unchanged."""
    return json.dumps(str(text), ensure_ascii=False)


def metadata_lines(metadata: Mapping[str, str]) -> list[str]:
    """The optional metadata block."""
    return ["metadata:", *(f"  {quoted(k)}: {quoted(v)}" for k, v in metadata.items())] if metadata else []


def read_metadata(data: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as strings; absent: empty."""
    found = data.get("metadata") or {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


def whole(values: Any, path: object, where: str) -> tuple[int, ...]:
    """A list of integers, or one integer, as a tuple."""
    entries = values if isinstance(values, list) else [values]
    try:
        found = tuple(int(v) for v in entries)
        if all(float(v) == int(v) for v in entries):
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputFileError(path, f"{where}: {values!r} is not a list of integers", MEND)


def real(values: Any, path: object, where: str) -> NDArray[np.float64]:
    """Nested floats as an array, all finite."""
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputFileError(path, f"{where}: not an array of numbers", MEND) from None
    if not np.isfinite(found).all():
        raise InputFileError(path, f"{where}: holds numbers that are not finite", MEND)
    return found


def check_embedding(path: object, where: str, density: Any, name: Any, parameters: Any) -> None:
    """Only the linear embedding E = rho of one density can be evaluated here."""
    if name not in EMBEDDINGS:
        raise InputFileError(path, f"{where}: npoti = {name!r} is not an embedding", f"Known: {', '.join(EMBEDDINGS)}.")
    values = real(parameters, path, where).ravel().tolist()
    if whole(density, path, where) != (1,) or values != [1.0, 1.0]:
        raise InputFileError(
            path, f"{where}: ndensity = {density}, parameters = {values} is a nonlinear potential",
            "Evaluate it with LAMMPS; only one density with parameters [1, 1] is supported here.",
        )  # fmt: skip


def make_bond(
    path: object, where: str, coefficients: Any, *, cutoff: Any, count: Any, family: Any, parameters: Any, width: Any,
    core: Any, inner: tuple[Any, Any],
) -> Bond:  # fmt: skip
    """A Bond from the fields of a file.

    Raises:
        InputFileError: a core repulsion or inner cutoff (not supported), or fields that do not fit.
    """
    if np.any(real(core, path, where)) or np.any(real(inner, path, where)):
        raise InputFileError(
            path, f"{where}: core repulsion {core} or inner cutoff (r_in, delta_in) {list(inner)} is not 0",
            "Not supported: evaluate it with LAMMPS, or keep repulsion outside the potential.",
        )  # fmt: skip
    contraction = real(coefficients, path, where)
    n = whole(count, path, where)[0]
    if contraction.ndim != 3 or contraction.shape[2] != n:
        raise InputFileError(path, f"{where}: radial coefficients {contraction.shape} for {n} radial functions", MEND)
    lam = tuple(real(parameters, path, where).ravel().tolist())
    try:
        bond = Bond(float(real(cutoff, path, where)), n, str(family), lam, float(real(width, path, where)), contraction)
    except DataError as error:
        raise InputFileError(path, f"{where}: {error}", MEND) from None
    # The plain form has cheaper tables and is what we write.
    if not bond.is_plain:
        return bond
    return Bond(bond.cutoff, n, bond.family, lam, bond.width, None, (bond.nradmax, bond.lmax))
