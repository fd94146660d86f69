"""The properties that a user checks first, with pass or fail against the config's thresholds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from mlip_autopipec.config.full import ErrorLimits, Validation
from mlip_autopipec.errors import DataError
from mlip_autopipec.frames import ENERGY, ISOLATED_ATOM
from mlip_autopipec.validation.breathing import fit_breathing
from mlip_autopipec.validation.dimer import dimer_checks, dimer_failures, dimer_warnings
from mlip_autopipec.validation.elastic import elastic
from mlip_autopipec.validation.eos import check, fit_eos, held_fixed, lattice_constant

FEWEST = 5  # energies that a curve is fitted to


def validate(
    cells: list[Atoms],
    calculator: Calculator,
    evaluation: dict[str, Any],
    settings: Validation,
    dimers: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The reference against DFT on the same cells, elastic constants, test errors, pairs alone: the verdict.

    Args:
        cells: DFT-labelled cells of `reference_series`: a crystal at several volumes, or a molecule breathing.
        calculator: the potential.
        evaluation: `evaluation/gen{N}.json` of the potential.
        dimers: `validation/dimer.json`.

    Returns:
        Three records for JSON: the curve (``kind``: crystal or molecule; of a crystal ``held``, see `held_fixed`),
        elastic constants (none of a molecule), and the verdict with ``passed``, ``checks``, ``failures`` and ``scope``
        (what the checks of properties say and what not) in words. What cannot be computed is a failure with its
        reason, not an error.
    """
    checks: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    cells = [cell for cell in cells if cell.info["config_type"] != ISOLATED_ATOM]
    molecule = bool(cells) and "scale_change" in cells[0].info
    constants: dict[str, Any] = {}
    if molecule:
        curve = _breathing(cells, calculator, failures)
        limits: dict[str, tuple[str, str, float]] = {
            "bond_scale": (
                "equilibrium scale of the molecule's distances (1: as relaxed by the surrogate)",
                "scale",
                settings.lattice_constant_relative_max,
            ),
            "breathing_stiffness": (
                "breathing stiffness of the molecule, eV",
                "stiffness_ev",
                settings.bulk_modulus_relative_max,
            ),
        }
    else:
        curve = _equations_of_state(cells, calculator, failures)
        constant, modulus = names_of_curve(curve["held"])
        limits = {
            "lattice_constant": (
                f"{constant}, A",
                "lattice_constant_angstrom",
                settings.lattice_constant_relative_max,
            ),
            "bulk_modulus": (f"{modulus}, GPa", "bulk_modulus_gpa", settings.bulk_modulus_relative_max),
        }
    if "dft" in curve and "potential" in curve:
        for key, (what, name, limit) in limits.items():
            checks[key] = check(what, curve["potential"][name], curve["dft"][name], limit)
    if cells and not molecule:
        try:
            middle = min(cells, key=lambda cell: float(cell.info[ENERGY]) / len(cell))
            constants = elastic(middle, calculator, settings.elastic_strain)
            checks["mechanical_stability"] = {
                "what": "smallest eigenvalue of the elastic tensor, GPa",
                "value": float(min(constants["eigenvalues_gpa"])),
                "reference": 0.0,
                "passed": constants["mechanically_stable"],
            }
        except Exception as error:  # of matcalc, pymatgen or the potential, for a crystal that flies apart
            failures.append(f"the elastic constants could not be computed ({error})")
    checks |= _test_checks(evaluation["test"], settings)
    failures += [_sentence(one) for one in checks.values() if not one["passed"]]
    verdict = _verdict(checks, failures, dimers, hidden_by_the_mean(evaluation, settings)) | {"scope": scope(curve)}
    return curve, constants, verdict


def names_of_curve(held: str) -> tuple[str, str]:
    """What the minimum and the curvature of the curve of scaled cells are called, by what was held fixed."""
    if not held:
        return "lattice constant", "bulk modulus"
    return (
        f"lattice constant a with {held} as relaxed by the surrogate",
        f"stiffness against uniform scaling with {held} as relaxed by the surrogate",
    )


def scope(curve: dict[str, Any]) -> list[str]:
    """What the comparison with DFT says, and what it does not, one sentence each."""
    if curve["kind"] == "molecule":
        return [
            "The properties compared with DFT are those of one molecule alone whose distances are all scaled together. "
            "No other vibration of it and nothing between molecules (density, cohesion, structure of the liquid) was "
            "compared."
        ]
    said = [
        "The cells compared with DFT are the reference at other volumes, and training cells are like them: that the "
        "potential meets these is interpolation and says nothing of other structures."
    ]
    if curve.get("held"):
        said.append(
            f"These cells were scaled alike in all directions, with {curve['held']} as relaxed by the surrogate, for "
            "DFT too. What is compared is a curve of the same cells; it is stiffer than the crystal, whose "
            f"{curve['held']} would give way. The bulk modulus of the potential stands among its elastic constants, "
            "without a DFT value to compare with."
        )
    return said


def hidden_by_the_mean(evaluation: dict[str, Any], settings: ErrorLimits) -> list[str]:
    """Warnings of groups of test frames above a limit that the test as a whole keeps, one sentence each.

    Groups are those of `test_by_type`: what the test walkers started from.
    """
    whole, groups = _test_checks(evaluation["test"], settings), evaluation.get("test_by_type", {})
    if len(groups) < 2:
        return []
    return [
        f"The test as a whole keeps its limit, the {errors['frames']} frames of '{group}' do not: {_sentence(one)}."
        for group, errors in groups.items()
        for key, one in _test_checks(errors, settings).items()
        if whole[key]["passed"] and not one["passed"]
    ]


def _verdict(
    checks: dict[str, dict[str, Any]], failures: list[str], dimers: dict[str, Any] | None, warnings: list[str]
) -> dict[str, Any]:
    if dimers is not None:
        checks = checks | dimer_checks(dimers)
        failures = failures + dimer_failures(dimers)
    warnings = warnings + ([] if dimers is None else dimer_warnings(dimers))
    return {"passed": not failures, "checks": checks, "failures": failures, "warnings": warnings, "scope": []}


def judge(evaluation: dict[str, Any], limits: ErrorLimits, dimers: dict[str, Any] | None = None) -> dict[str, Any]:
    """The verdict where there is no DFT to compare properties with: errors on the test set, pairs alone.

    Args:
        evaluation: `evaluation/gen{N}.json` of the potential.
        dimers: `validation/dimer.json`.

    Returns:
        ``passed``, ``checks``, ``failures`` and ``scope``, as in the verdict of `validate`; ``scope`` is empty.
    """
    checks = _test_checks(evaluation["test"], limits)
    failures = [_sentence(one) for one in checks.values() if not one["passed"]]
    return _verdict(checks, failures, dimers, hidden_by_the_mean(evaluation, limits))


def _energies(cells: list[Atoms], calculator: Calculator) -> tuple[np.ndarray, np.ndarray]:
    """Labelled and predicted energies per atom, eV."""
    predicted = []
    for cell in cells:
        copy = cell.copy()
        copy.calc = calculator
        predicted.append(copy.get_potential_energy() / len(cell))
    return np.array([float(cell.info[ENERGY]) / len(cell) for cell in cells]), np.array(predicted)


def _equations_of_state(cells: list[Atoms], calculator: Calculator, failures: list[str]) -> dict[str, Any]:
    volumes = np.array([cell.get_volume() / len(cell) for cell in cells])
    labels, predicted = _energies(cells, calculator)
    eos: dict[str, Any] = {
        "kind": "crystal",
        "volume_angstrom3_per_atom": volumes,
        "dft_ev_per_atom": labels,
        "potential_ev_per_atom": predicted,
        "held": held_fixed(cells[len(cells) // 2]) if cells else "",
    }
    if len(cells) < FEWEST:
        failures.append(f"only {len(cells)} DFT energies of the equation of state: at least {FEWEST} are needed")
        return eos
    for name, energies in (("dft", labels), ("potential", predicted)):
        try:
            curve = fit_eos(volumes, energies)
        except DataError as error:
            failures.append(f"{name}: {error}")
            continue
        eos[name] = asdict(curve) | {"lattice_constant_angstrom": lattice_constant(curve, cells[0])}
    return eos


def _breathing(cells: list[Atoms], calculator: Calculator, failures: list[str]) -> dict[str, Any]:
    scales = np.array([1.0 + float(cell.info["scale_change"]) for cell in cells])
    labels, predicted = _energies(cells, calculator)
    curve: dict[str, Any] = {
        "kind": "molecule",
        "atoms": len(cells[0]),
        "scale": scales,
        "dft_ev_per_atom": labels,
        "potential_ev_per_atom": predicted,
    }
    if len(cells) < FEWEST:
        failures.append(f"only {len(cells)} DFT energies of the breathing molecule: at least {FEWEST} are needed")
        return curve
    for name, energies in (("dft", labels), ("potential", predicted)):
        try:
            curve[name] = asdict(fit_breathing(scales, energies * len(cells[0])))
        except DataError as error:
            failures.append(f"{name}: {error}")
            continue
        distances = cells[0].get_all_distances()[np.triu_indices(len(cells[0]), 1)]
        if len(distances):
            curve[name]["shortest_bond_angstrom"] = float(distances.min() / scales[0] * curve[name]["scale"])
    return curve


def _test_checks(test: dict[str, Any], settings: ErrorLimits) -> dict[str, dict[str, Any]]:
    limits = {
        "test_energy_rmse": (
            "test energy RMSE, meV/atom",
            "energy_rmse_mev_per_atom",
            settings.energy_rmse_max_mev_per_atom,
        ),
        "test_force_rmse": (
            "test force RMSE, meV/A",
            "force_rmse_mev_per_angstrom",
            settings.force_rmse_max_mev_per_angstrom,
        ),
    }
    checks = {}
    for key, (what, name, limit) in limits.items():
        value = test[name]
        checks[key] = {"what": what, "value": value, "reference": limit, "passed": value is not None and value <= limit}
    return checks


def _sentence(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"{one['what']}: there is no labelled test frame"
    if "relative_error" in one:
        return (
            f"{one['what']}: {one['value']:.4g} against {one['reference']:.4g}, off by {one['relative_error']:.2%} "
            f"(allowed {one['relative_error_max']:.2%})"
        )
    return f"{one['what']}: {one['value']:.4g} (limit {one['reference']:.4g})"
