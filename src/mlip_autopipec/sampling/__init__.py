"""Choosing few, diverse frames among many."""

from mlip_autopipec.sampling.atlas import atlas
from mlip_autopipec.sampling.choose import choose_candidates, choose_first, choose_uncertain
from mlip_autopipec.sampling.descriptors import configured_describer, describer, vectors_of
from mlip_autopipec.sampling.pool import Pool
from mlip_autopipec.sampling.projection import pool_map, write_map
from mlip_autopipec.sampling.samplers import SAMPLERS, sampler
from mlip_autopipec.sampling.store import describe

__all__ = [
    "SAMPLERS",
    "Pool",
    "atlas",
    "choose_candidates",
    "choose_first",
    "choose_uncertain",
    "configured_describer",
    "describe",
    "describer",
    "pool_map",
    "sampler",
    "vectors_of",
    "write_map",
]
