"""A vector for every structure: averages and spreads of SOAP over its atoms."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from dscribe.descriptors import SOAP

from mlip_autopipec.config.full import Sampling
from mlip_autopipec.errors import DataError


def structure_descriptors(frames: list[Atoms], settings: Sampling) -> np.ndarray:
    """Mean and standard deviation over the atoms of SOAP (Bartok, Kondor, Csanyi, PRB 87, 184115, 2013; dscribe).

    The standard deviation lets one unusual atom among many be seen.

    Returns:
        Array (frames, 2 x SOAP features), dimensionless.

    Raises:
        DataError: a descriptor is not finite.
    """
    if not frames:
        return np.zeros((0, 0))
    species = sorted({s for frame in frames for s in frame.get_chemical_symbols()})
    soap = SOAP(
        species=species,
        periodic=True,
        r_cut=settings.soap_cutoff_angstrom,
        n_max=settings.soap_n_max,
        l_max=settings.soap_l_max,
        sigma=settings.soap_sigma_angstrom,
    )
    rows = [soap.create(frame) for frame in frames]
    vectors = np.array([np.concatenate([row.mean(axis=0), row.std(axis=0)]) for row in rows])
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(f"frame {bad[0]} ({frames[bad[0]].info.get('uid')}) has a descriptor that is not a number")
    return vectors
