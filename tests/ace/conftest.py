"""Fixtures of the ACE tests."""

from __future__ import annotations

import pytest
from ace_cases import copper_gold, potential_for, rattled, silicon
from ase import Atoms

from mlip_autopipec.ace import ACEPotential, BasisSpec, build_basis


@pytest.fixture(scope="session")
def si() -> ACEPotential:
    """One element, up to four neighbours."""
    return potential_for(build_basis(BasisSpec(("Si",), 4.5, (8, 8, 8, 8))))


@pytest.fixture(scope="session")
def cuau() -> ACEPotential:
    """Two elements, up to three neighbours."""
    return potential_for(build_basis(BasisSpec(("Cu", "Au"), 4.5, (6, 6, 6))))


@pytest.fixture(params=["si", "cuau"])
def case(request: pytest.FixtureRequest) -> tuple[ACEPotential, Atoms]:
    """(potential, rattled structure) for one and for two elements."""
    atoms = silicon() if request.param == "si" else copper_gold()
    return request.getfixturevalue(request.param), rattled(atoms, 0.15, 3)
