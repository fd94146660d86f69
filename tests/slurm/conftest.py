"""The cluster that the tests of a file share."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import SlurmCluster, running_cluster, why_unavailable


@pytest.fixture(scope="module")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A running single-node Slurm; the test is skipped, with the reason, where none can run."""
    reason = why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    # Ports and users are this machine's: of two workers of pytest-xdist one waits.
    with (Path(tempfile.gettempdir()) / "mlip-autopipec-slurm-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with running_cluster() as cluster:
            yield cluster
