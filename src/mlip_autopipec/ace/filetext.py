"""Pieces shared by the readers and writers of potential files: numbers, checked loading, checked fields."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from mlip_autopipec.ace.embedding import Embedding
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.errors import DataError, InputFileError

MEND = "Write the potential again, or copy the file from where it came."

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


def make_embedding(
    path: object, where: str, *, density: Any, name: Any, parameters: Any, core_cut: Any, core_width: Any
) -> Embedding:
    """An Embedding from the fields of a file.

    Raises:
        InputFileError: an unknown name (evaluators take it silently for something else), or fields that do not fit.
    """
    values = tuple(real(parameters, path, where).ravel().tolist())
    if len(values) != 2 * whole(density, path, where)[0]:
        raise InputFileError(path, f"{where}: {len(values)} parameters for ndensity = {density}", MEND)
    cut, width = (float(real(value, path, where)) for value in (core_cut, core_width))
    try:
        return Embedding(str(name), values, cut, width)
    except DataError as error:
        raise InputFileError(path, f"{where}: {error}", MEND) from None


def make_bond(
    path: object, where: str, coefficients: Any, *, cutoff: Any, count: Any, family: Any, parameters: Any, width: Any,
    repulsion: Any, inner: tuple[Any, Any], inner_kind: Any,
) -> Bond:  # fmt: skip
    """A Bond from the fields of a file.

    Raises:
        InputFileError: fields that do not fit.
    """
    contraction = real(coefficients, path, where)
    n = whole(count, path, where)[0]
    if contraction.ndim != 3 or contraction.shape[2] != n:
        raise InputFileError(path, f"{where}: radial coefficients {contraction.shape} for {n} radial functions", MEND)
    lam = tuple(real(parameters, path, where).ravel().tolist())
    pairs = [tuple(real(pair, path, where).ravel().tolist()) for pair in (repulsion, inner)]
    if [len(pair) for pair in pairs] != [2, 2]:
        raise InputFileError(path, f"{where}: core repulsion {repulsion!r} must be two numbers", MEND)
    try:
        bond = Bond(
            float(real(cutoff, path, where)), n, str(family), lam, float(real(width, path, where)), contraction,
            repulsion=(pairs[0][0], pairs[0][1]), inner=(pairs[1][0], pairs[1][1]), inner_kind=str(inner_kind),
        )  # fmt: skip
    except DataError as error:
        raise InputFileError(path, f"{where}: {error}", MEND) from None
    # The plain form has cheaper tables and is what we write.
    return replace(bond, contraction=None, shape=(bond.nradmax, bond.lmax)) if bond.is_plain else bond
