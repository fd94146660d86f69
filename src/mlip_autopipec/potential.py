"""The delivered potential as an ASE calculator: ACE, its repulsive baseline and the energies of isolated atoms.

A B-basis file holds the ACE part only; what must be added to it travels in the file's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from mlip_autopipec.ace import ACECalculator, read_asi, read_yaml
from mlip_autopipec.ace.posterior import Posterior
from mlip_autopipec.errors import DataError, InputFileError
from mlip_autopipec.repulsion import ZBL, LennardJones, Repulsion

REFERENCES, ZBL_INNER, ZBL_OUTER = "reference_energies_ev", "zbl_inner_angstrom", "zbl_outer_angstrom"
LENNARD_JONES = "lennard_jones_epsilon_ev_sigma_angstrom"


def metadata(references_ev: dict[str, float], baseline: Repulsion | None, **more: str) -> dict[str, str]:
    """What a potential file must say about the parts that are not in it, as text."""
    said = {REFERENCES: json.dumps(references_ev), **more}
    if isinstance(baseline, ZBL):
        said |= {ZBL_INNER: repr(baseline.inner_angstrom), ZBL_OUTER: repr(baseline.outer_angstrom)}
    if isinstance(baseline, LennardJones):
        said |= {LENNARD_JONES: json.dumps(baseline.parameters_by_pair)}
    return said


def baseline_of(said: Mapping[str, str]) -> Repulsion | None:
    """The repulsive baseline that metadata speak of, or None."""
    if LENNARD_JONES in said:
        return LennardJones(json.loads(said[LENNARD_JONES]))
    return ZBL(float(said[ZBL_INNER]), float(said[ZBL_OUTER])) if ZBL_INNER in said else None


def references_of(said: Mapping[str, str]) -> dict[str, float]:
    """Energies of isolated atoms (eV) that metadata speak of."""
    return {symbol: float(energy) for symbol, energy in json.loads(said[REFERENCES]).items()}


def load_potential(
    yaml: str | os.PathLike[str],
    asi: str | os.PathLike[str] | None = None,
    posterior: str | os.PathLike[str] | None = None,
) -> ACECalculator:
    """Read `potential_gen{N}.yaml`, its active set and its posterior.

    Args:
        yaml: B-basis file.
        asi: active set; without it there is no extrapolation grade.
        posterior: .npz; without it `deviation` is refused.

    Returns:
        An ASE calculator of total energies (eV) on the scale of the labels.

    Raises:
        InputFileError: a file is missing, damaged, or was not written by this pipeline.
    """
    potential = read_yaml(yaml)
    said: dict[str, Any] = potential.metadata
    if REFERENCES not in said:
        raise InputFileError(
            yaml, f"its metadata have no '{REFERENCES}'", "Give a potential that this pipeline trained."
        )
    spread = None if posterior is None else Posterior.load(posterior)
    if spread is not None:
        try:
            spread.check_belongs(potential)
        except DataError as error:
            raise InputFileError(
                posterior, f"not the posterior of {yaml} ({error})", "Give the two files of one training."
            ) from None
    return ACECalculator(
        potential,
        active_set_inverse=read_asi(asi) if asi is not None else None,
        reference_energies=references_of(said),
        baseline=baseline_of(said),
        posterior=spread,
    )
