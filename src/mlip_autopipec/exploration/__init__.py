"""Exploration with a universal surrogate."""

from mlip_autopipec.exploration.walkers import spread, walk
from mlip_autopipec.surrogates import load_surrogate

__all__ = ["load_surrogate", "spread", "walk"]
