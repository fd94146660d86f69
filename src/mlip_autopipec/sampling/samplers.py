"""What a sampler is: it picks few rows of a table of features that may be too large for the memory.

Samplers are found by name: ours, and those that installed packages offer as entry points of the group
`mlip_autopipec.samplers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_autopipec.config.kinds import SAMPLER_GROUP
from mlip_autopipec.plugins import find

SAMPLERS = {
    "direct": "mlip_autopipec.sampling.direct:direct",
    "farthest-point": "mlip_autopipec.sampling.farthest:farthest_point",
    "d-optimal": "mlip_autopipec.sampling.doptimal:d_optimal",
    "random": "mlip_autopipec.sampling.baselines:random",
    "stratified-random": "mlip_autopipec.sampling.baselines:stratified_random",
}
BLOCK_ROWS = 50_000

Indices = NDArray[np.int64]
Block = NDArray[np.float32]


class Features(Protocol):
    """A table of features, read in blocks: `shape` is (rows, columns); `blocks` starts anew at every call."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def blocks(self) -> Iterator[Block]: ...


@dataclass(frozen=True)
class ArrayFeatures:
    """A table that is in memory, or mapped into it (`numpy.load(..., mmap_mode="r")`)."""

    array: NDArray[Any]
    block_rows: int = BLOCK_ROWS

    @property
    def shape(self) -> tuple[int, int]:
        return self.array.shape[0], self.array.shape[1]

    def blocks(self) -> Iterator[Block]:
        for start in range(0, len(self.array), self.block_rows):
            yield np.asarray(self.array[start : start + self.block_rows], dtype=np.float32)


@dataclass(frozen=True)
class Choice:
    """What a sampler chose.

    Attributes:
        indices: (chosen,) rows, none twice, the most wanted first; fewer than asked where there are no more.
        why: for each of them, in words.
        record: numbers for the record of the choice (components, clusters, ...), JSON-able.
    """

    indices: Indices
    why: list[str]
    record: dict[str, Any] = field(default_factory=dict)


class Sampler(Protocol):
    """Chooses `number` rows, the same ones for the same arguments.

    Args:
        features: of the pool.
        number: how many rows are wanted.
        seen: (rows, columns) features of what is already in the dataset: it counts as chosen.
        strata: (rows of the pool,) int; which source or trajectory each row comes from.
        seed: of all random choices.
        per_cluster: rows taken of each cluster, where there are clusters.
        frames: reads frames of the pool by their indices, in that order; for samplers that need the atoms.
        seen_frames: the structures behind `seen`.
    """

    def __call__(
        self,
        features: Features,
        number: int,
        *,
        seen: NDArray[Any] | None = None,
        strata: NDArray[np.int64] | None = None,
        seed: int = 0,
        per_cluster: int = 1,
        frames: Callable[[Indices], list[Atoms]] | None = None,
        seen_frames: list[Atoms] | None = None,
    ) -> Choice: ...


def sampler(name: str, key: str = "sampling.method") -> Sampler:
    """The sampler of this name.

    Args:
        key: of the config that holds the name, for the message.

    Raises:
        ConfigError: there is none.
    """
    found: Sampler = find(name, SAMPLERS, SAMPLER_GROUP, key, "sampler")
    return found
