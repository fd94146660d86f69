"""Exploration with a universal surrogate."""

from mlip_autopipec.exploration.surrogate import load_surrogate
from mlip_autopipec.exploration.walkers import spread, walk

__all__ = ["load_surrogate", "spread", "walk"]
