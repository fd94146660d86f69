"""The part of the report on how the potential was chosen: what was tried, and the family side by side."""

from __future__ import annotations

from typing import Any

from mlip_autopipec.report.records import Record, Records

ROLES = ("fast", "balanced", "accurate")


def section(records: Records) -> dict[str, Any]:
    """What the template needs; `rows` is empty where a trainer without a search made the potential."""
    searched = records.potential.get("search")
    if not searched:
        return {"rows": [], "family": [], "left_out": [], "why": "", "seconds": None}
    return {
        "rows": search_rows(searched),
        "why": records.potential["why"],
        "role": records.potential["role"],
        "second_density": records.potential["second_density"].get("reason"),
        "left_out": searched["left_out"],
        "by": searched["by"],
        "seconds": records.potential["cpu_seconds"]["rows"] + searched["cpu_seconds"],
        "appended": records.potential["factor"],
        "family": family_rows(records.family) if records.family is not None else [],
    }


def search_rows(searched: Record) -> list[Record]:
    """Every point of the search with the roles it was given, smallest basis first."""
    rows = []
    for point in searched["points"]:
        roles = [role for role in ROLES if _same(searched["roles"][role], point)]
        rows.append(point | {"roles": ", ".join(roles), "degrees": " ".join(map(str, point["degrees"]))})
    return rows


def family_rows(family: Record) -> list[Record]:
    """The members with errors (meV/atom, meV/A) and cost, fast first."""
    return [
        {
            "role": role,
            "delivered": role == family["role"],
            "functions": one["functions"],
            "cutoff_angstrom": one["cutoff_angstrom"],
            "held_out_energy": one["held_out_energy_rmse_mev_per_atom"],
            "held_out_force": one["held_out_force_rmse_mev_per_angstrom"],
            "test_energy": one["test"]["energy_rmse_mev_per_atom"],
            "test_force": one["test"]["force_rmse_mev_per_angstrom"],
            "cpu_us_per_atom": one["cpu_us_per_atom"],
        }
        for role, one in family["members"].items()
    ]


def _same(one: Record, other: Record) -> bool:
    return all(one[key] == other[key] for key in ("degrees", "cutoff_angstrom", "energy_weight", "prior_power"))
