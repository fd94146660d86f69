"""Which potential energy surface labels lie on: their settings compared, with those of older versions too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Surface = Mapping[str, Any]
_ABSENT = object()


def differences(before: Surface, now: Surface) -> dict[str, tuple[Any, Any]]:
    """Settings in which two surfaces differ, with the values of both; None where one has no such setting.

    Labels of an older version lack some. They count as what that version did, where that is known: without spin no
    magnetic states were tried. The contents of a pseudopotential that nobody summed up are taken for the same.
    """
    found = {}
    for key in [*now, *(key for key in before if key not in now)]:
        one, other = _value(before, key), _value(now, key)
        if _other_files(one, other) if key == "pseudopotential_md5" else one != other:
            found[key] = (None if one is _ABSENT else one, None if other is _ABSENT else other)
    return found


def mixture(surfaces: Iterable[Surface | None]) -> str:
    """How the surfaces of labels differ from each other, in words; '' where they are one."""
    kinds = [kind or {} for kind in {json.dumps(one, sort_keys=True): one for one in surfaces}.values()]
    found: dict[str, tuple[Any, Any]] = {}
    for number, one in enumerate(kinds):  # each with each: an unknown file is like two that differ
        for other in kinds[:number]:
            found = differences(other, one) | found
    return ", ".join(f"{key}: {said(one)} and {said(other)}" for key, (one, other) in found.items())


def said(value: Any) -> str:
    """A setting in words."""
    return "unknown" if value is None else json.dumps(value).replace('"', "")


def _value(surface: Surface, key: str) -> Any:
    without_spin = key == "magnetic_states" and surface.get("nspin") == 1
    return surface.get(key, [] if without_spin else _ABSENT)


def _other_files(one: Any, other: Any) -> bool:
    sums, others = ({} if value is None or value is _ABSENT else value for value in (one, other))
    return any(sums[symbol] != others[symbol] for symbol in sums.keys() & others.keys())
