"""Molecular dynamics that watches its own uncertainty, and the judgement of a full round."""

from mlip_autopipec.simulation.assess import assess
from mlip_autopipec.simulation.md import simulate

__all__ = ["assess", "simulate"]
