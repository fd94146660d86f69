"""Properties of the last potential against DFT, with pass or fail."""

from mlip_autopipec.validation.properties import validate

__all__ = ["validate"]
