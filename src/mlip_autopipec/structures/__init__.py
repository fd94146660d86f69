"""Starting structures from the configuration."""

from mlip_autopipec.structures.generate import crystal, generate, isolated_atoms, volume_series

__all__ = ["crystal", "generate", "isolated_atoms", "volume_series"]
