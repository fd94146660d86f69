"""Starting structures from the configuration."""

from mlip_autopipec.structures.generate import crystal, generate

__all__ = ["crystal", "generate"]
