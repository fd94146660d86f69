"""The part of the report on the surrogate's walkers: what each one was, how far it came, and what became of it."""

from __future__ import annotations

from typing import Any

from mlip_autopipec.report.records import Record, Records

KINDS = {
    "md": "MD",
    "heat": "heating",
    "quench": "quenching",
    "swaps": "MD with swaps of unlike atoms",
    "cells": "MD with moves of the cell",
    "strains": "strains",
    "paths": "relaxations of random structures",
}


def explored_rows(records: Records) -> list[Record]:
    """The surrogate's walkers: plain dynamics first, coldest first, then the others by name."""
    rows = sorted(
        records.explored,
        key=lambda one: (one.get("kind", "md") != "md", one.get("kind", "md"), one["temperature_k"], one["walker"]),
    )
    return [
        {
            "walker": one["walker"],
            "kind": KINDS.get(one.get("kind", "md"), one.get("kind", "md")),
            "ensemble": one.get("ensemble") or "–",
            "temperatures": _temperatures(one),
            "pressure": _pressure(one),
            "start": _start(one),
            "surrogate": _name(one["surrogate"]),
            "steps_done": one["steps_done"],
            "steps_asked": one["steps_asked"],
            "frames": one["frames"],
            "stopped": bool(one["stopped"]),
            "became": _became(one),
        }
        for one in rows
    ]


def reached_k(one: Record) -> list[float]:
    """Temperatures in K between which a walker was: a ramp only as far as it came; none of relaxations.

    The temperature of a ramp goes with the number of steps.
    """
    if one.get("kind") == "paths":
        return []
    start, end = one["temperature_k"], one.get("temperature_end_k")
    if end is None:
        return [start]
    share = one["steps_done"] / one["steps_asked"] if one["steps_asked"] else 0.0
    return [start, start + share * (end - start)]


def _temperatures(one: Record) -> str:
    if one.get("kind") == "paths":
        return "–"
    end = one.get("temperature_end_k")
    return f"{one['temperature_k']:g}" + ("" if end is None else f" → {end:g}")


def _pressure(one: Record) -> str:
    value = one.get("pressure_gpa")  # none where the cell stays
    return "–" if value is None else f"{value:g}".replace("-", "−")


def _start(one: Record) -> str:
    start = str(one.get("start_type") or "–").replace("_", " ")
    return f"{start} ({one['shape']})" if one.get("shape") else start


def _name(surrogate: Any) -> str:
    return str(surrogate.get("name", "–")) if isinstance(surrogate, dict) else str(surrogate)


def _became(one: Record) -> str:
    said = [str(one["stopped"])] if one["stopped"] else []
    said += _notes(one.get("notes") or {})
    said += [str(warning) for warning in one.get("warnings") or []]
    return "; ".join(text.rstrip(".") for text in said) or "–"


def _notes(notes: Record) -> list[str]:
    """The notes of all kinds of walkers in words; what has no words of its own here is told as it is."""
    left = {key: value for key, value in notes.items() if key not in _SAID and value is not None}
    said = []
    if "swaps_tried" in notes:
        pairs = {pair: rate for pair, rate in notes.get("swap_acceptance_by_pair", {}).items() if rate is not None}
        by_pair = ", ".join(f"{pair} {_percent(rate)}" for pair, rate in pairs.items()) if len(pairs) > 1 else ""
        said.append(
            f"{notes['swaps_accepted']} of {notes['swaps_tried']} swaps taken"
            + _bracketed(_percent(notes.get("swap_acceptance")), by_pair)
        )
    if "cell_moves_tried" in notes:
        rates = {k: notes.get(f"{k}_acceptance") for k in ("volume", "shape")}
        taken = ", ".join(f"{k} {_percent(rate)}" for k, rate in rates.items() if rate is not None)
        said.append(f"{notes['cell_moves_tried']} moves of the cell tried" + _bracketed(taken and f"taken: {taken}"))
    if "volume_strains" in notes:
        low, high = (f"{100 * value:+.0f}".replace("-", "−") for value in notes["volume_strains"])
        shear = f", shears up to {100 * notes['shear_strain_max']:.0f} %" if "shear_strain_max" in notes else ""
        said.append(f"{notes.get('stops', '?')} strains, volumes {low} to {high} %{shear}")
    if "paths" in notes:
        ends = ", ".join(f"{number} {end}" for end, number in notes.get("paths_ended", {}).items())
        fall = notes.get("mean_fall_ev_per_atom")
        lost = f"{fall:.2f} eV/atom lost on the way" if fall is not None else ""
        said.append(f"{notes['paths']} relaxation{'' if notes['paths'] == 1 else 's'}" + _bracketed(ends, lost))
    if "cell_flowed_at_step" in notes:
        said.append(f"the cell began to flow at step {notes['cell_flowed_at_step']}")
    return said + [f"{key.replace('_', ' ')}: {value}" for key, value in left.items()]


_SAID = {
    "swaps_tried", "swaps_accepted", "swap_acceptance", "swap_acceptance_by_pair", "cell_moves_tried",
    "cell_moves_at_walls", "volume_acceptance", "shape_acceptance", "volume_move_size", "shape_move_size", "stops",
    "volume_strains", "shear_strain_max", "paths", "paths_ended", "mean_fall_ev_per_atom", "cell_flowed_at_step",
    "bulk_modulus_gpa",
}  # fmt: skip


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.0f} %"


def _bracketed(*parts: str) -> str:
    inside = ": ".join(part for part in parts if part)
    return f" ({inside})" if inside else ""
