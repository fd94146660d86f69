"""The delivered potential as an ASE calculator: ACE, its repulsive baseline and the energies of isolated atoms.

A B-basis file holds the ACE part only; what must be added to it travels in the file's metadata.
"""

from __future__ import annotations

import json
import os
from typing import Any

from mlip_autopipec.ace import ACECalculator, read_asi, read_yaml
from mlip_autopipec.errors import InputFileError
from mlip_autopipec.repulsion import ZBL

REFERENCES, ZBL_INNER, ZBL_OUTER = "reference_energies_ev", "zbl_inner_angstrom", "zbl_outer_angstrom"


def metadata(references_ev: dict[str, float], zbl: ZBL | None, **more: str) -> dict[str, str]:
    """What a potential file must say about the parts that are not in it, as text."""
    said = {REFERENCES: json.dumps(references_ev), **more}
    if zbl is not None:
        said |= {ZBL_INNER: repr(zbl.inner_angstrom), ZBL_OUTER: repr(zbl.outer_angstrom)}
    return said


def zbl_of(said: dict[str, str]) -> ZBL | None:
    """The repulsive baseline that metadata speak of, or None."""
    return ZBL(float(said[ZBL_INNER]), float(said[ZBL_OUTER])) if ZBL_INNER in said else None


def load_potential(yaml: str | os.PathLike[str], asi: str | os.PathLike[str] | None = None) -> ACECalculator:
    """Read `potential_gen{N}.yaml` and its active set.

    Args:
        yaml: B-basis file.
        asi: active set; without it there is no extrapolation grade.

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
    return ACECalculator(
        potential,
        active_set_inverse=read_asi(asi) if asi is not None else None,
        reference_energies=json.loads(said[REFERENCES]),
        baseline=zbl_of(said),
    )
