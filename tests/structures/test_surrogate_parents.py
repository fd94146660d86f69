"""With SevenNet-0 the known ground states come out lowest."""

import pytest
from structures_tasks import make_task

from mlip_autopipec.structures.parents import merge_parents, relax_source
from mlip_autopipec.surrogates import load_surrogate


@pytest.fixture(scope="module")
def surrogate():
    return load_surrogate("sevennet-0")


@pytest.mark.parametrize(
    ("composition", "names", "lowest", "group", "volume_per_atom"),
    [("MgO", ["B3", "B1", "B2"], "B1", "Fm-3m", 9.4), ("Si", ["A5", "A4", "A1"], "A4", "Fd-3m", 20.0)],
)
def test_ground_state_is_the_reference(surrogate, composition, names, lowest, group, volume_per_atom):
    task = make_task(composition, prototypes=names, calculator=lambda: surrogate)
    parents, record = merge_parents([relax_source("prototypes", task)], task)
    assert parents[0].info["prototype"] == lowest
    assert parents[0].info["spacegroup"] == group
    assert parents[0].get_volume() / len(parents[0]) == pytest.approx(volume_per_atom, rel=0.04)
    assert all(row["converged"] for row in record["tried"])
