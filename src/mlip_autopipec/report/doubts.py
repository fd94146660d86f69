"""Doubts about the labels themselves, which no check of the potential sees: one sentence each."""

from __future__ import annotations

from typing import Any

from mlip_autopipec.config import Config, DataConfig, cautions


def label_cautions(config: Config | DataConfig) -> list[str]:
    """Limits of the labels by `config.cautions`, without what matters only before there are labels."""
    if isinstance(config, DataConfig):
        return []
    # the report may be made where the pseudopotentials are not
    return [one for one in cautions(config) if not one.startswith("pseudopotentials are missing")]


def mixed_labels(audit: dict[str, Any] | None) -> list[str]:
    """A failure where labels of one run lie on different potential energy surfaces: its errors then say nothing."""
    mixed = "" if audit is None else audit.get("mixed_settings", "")
    return (
        [
            f"the labels of dataset, test set and references were made with different settings: {mixed}; errors and "
            "properties compare what cannot be compared. Give the run another name and make all labels with one"
        ]
        if mixed
        else []
    )


def noisy_labels(audit: dict[str, Any] | None, test: dict[str, Any]) -> list[str]:
    """A caution where the labels' own noise is larger than the errors on the test set, which have the same settings."""
    noise = None if audit is None else audit["noise"]
    if noise is None or not noise["measured"]:
        return []
    energy, force = noise["energy_mev_per_atom"], noise["force_mev_per_angstrom"]
    errors = test.get("energy_rmse_mev_per_atom"), test.get("force_rmse_mev_per_angstrom")
    if all(error is None or error >= own for error, own in zip(errors, (energy, force), strict=True)):
        return []
    return [
        f"labels are not converged to the errors of the potential: {len(noise['frames'])} of them run again at tighter "
        f"settings differ by {energy:.1f} meV/atom (constants taken out) and {force:.0f} meV/A of a force component; "
        "the test errors are against labels of the same settings and do not show it. labelling.protocol, the cutoffs "
        "and k-points say how good labels are"
    ]


def smeared_atoms(dataset: dict[str, Any]) -> list[str]:
    """A warning for each isolated atom whose kept state has smeared occupations."""
    return [
        f"The energy of the isolated {symbol} atom (moment {one['moment']}) is of smeared occupations: with whole ones "
        "it did not converge, and it may not be the atom's ground state. Cohesive energies refer to it."
        for symbol, states in dataset.get("isolated_atoms_spin", {}).items()
        for one in states
        if one["kept"] and one.get("occupations") == "smearing"
    ]
