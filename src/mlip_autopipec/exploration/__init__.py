"""Exploration with a universal surrogate."""

from mlip_autopipec.exploration.walkers import spread, walk

__all__ = ["spread", "walk"]
