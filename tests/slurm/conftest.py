"""The cluster that all tests of this folder share."""

from collections.abc import Iterator

import pytest
from cluster import SlurmCluster, running_cluster, why_unavailable


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A running single-node Slurm; the test is skipped, with the reason, where none can run."""
    reason = why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    with running_cluster() as cluster:
        yield cluster
