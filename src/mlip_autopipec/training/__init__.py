"""From a dataset to a potential."""

from mlip_autopipec.training.linear_ace import train

__all__ = ["train"]
