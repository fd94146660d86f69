"""Errors of a potential against labels, in the units people quote."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.frames import ENERGY, FORCES, ISOLATED_ATOM, START_TYPE, STRESS

EV_PER_ANGSTROM3_IN_GPA = 160.21766208  # CODATA 2018: 1 eV/A^3 in GPa


def compare(frames: list[Atoms], calculator: Calculator) -> list[dict[str, Any]]:
    """Label and prediction of every frame but isolated atoms.

    Returns:
        One dict per frame: uid, config_type, start_type ('' where no walker made it), atoms, generation, energies in
        eV/atom, forces in eV/A (flat lists), stresses in GPa (Voigt) where labelled.
    """
    rows = []
    for frame in frames:
        if frame.info.get("config_type") == ISOLATED_ATOM:
            continue
        predicted = frame.copy()
        predicted.calc = calculator
        row = {
            "uid": frame.info["uid"],
            "config_type": frame.info["config_type"],
            "start_type": str(frame.info.get(START_TYPE, "")),
            "generation": int(frame.info.get("generation", 0)),
            "atoms": len(frame),
            "energy_label_ev_per_atom": float(frame.info[ENERGY]) / len(frame),
            "energy_ev_per_atom": predicted.get_potential_energy() / len(frame),
            "forces_label_ev_per_angstrom": frame.arrays[FORCES].ravel(),
            "forces_ev_per_angstrom": predicted.get_forces().ravel(),
        }
        if STRESS in frame.info:
            row["stress_label_gpa"] = np.asarray(frame.info[STRESS]) * EV_PER_ANGSTROM3_IN_GPA
            row["stress_gpa"] = predicted.get_stress() * EV_PER_ANGSTROM3_IN_GPA
        rows.append(row)
    return rows


def evaluate(calculator: Any, dataset: list[Atoms], test: list[Atoms]) -> dict[str, Any]:
    """Errors on training and test labels, whole, by type, and frame by frame, with the largest gamma of each frame.

    Test frames of walkers are of one type: they are told apart by what their walkers started from.

    Args:
        calculator: potential with `gamma(atoms)`.
    """
    result: dict[str, Any] = {}
    for name, frames in (("train", dataset), ("test", test)):
        rows = compare(frames, calculator)
        by_uid = {frame.info["uid"]: frame for frame in frames}
        for row in rows:
            row["gamma_max"] = float(calculator.gamma(by_uid[row["uid"]]).max())
        result[name] = summarise(rows)
        result[f"{name}_by_type"] = by_type(rows, "start_type" if name == "test" else "config_type")
        result[f"{name}_frames"] = rows
    return result


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Root-mean-square and mean absolute errors over frames: energy in meV/atom, forces in meV/A, stress in GPa.

    Frames count alike in the energy, components alike in forces and stress; an empty list gives None for each.
    """
    energy = [1e3 * (row["energy_ev_per_atom"] - row["energy_label_ev_per_atom"]) for row in rows]
    force = [1e3 * (row["forces_ev_per_angstrom"] - row["forces_label_ev_per_angstrom"]) for row in rows]
    stress = [row["stress_gpa"] - row["stress_label_gpa"] for row in rows if "stress_gpa" in row]
    return {
        "frames": len(rows),
        "energy_rmse_mev_per_atom": _rms(energy),
        "energy_mae_mev_per_atom": _mean_absolute(energy),
        "force_rmse_mev_per_angstrom": _rms(np.concatenate(force) if force else []),
        "force_mae_mev_per_angstrom": _mean_absolute(np.concatenate(force) if force else []),
        "stress_rmse_gpa": _rms(np.concatenate(stress) if stress else []),
    }


def by_type(rows: list[dict[str, Any]], key: str = "config_type") -> dict[str, dict[str, Any]]:
    """`summarise` for each config_type, or start_type where there is one."""
    types = sorted({row[key] or row["config_type"] for row in rows})
    return {name: summarise([row for row in rows if (row[key] or row["config_type"]) == name]) for name in types}


def _rms(values: Any) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else None


def _mean_absolute(values: Any) -> float | None:
    return float(np.mean(np.abs(values))) if len(values) else None
