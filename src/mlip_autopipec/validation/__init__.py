"""Properties of the last potential against DFT, with pass or fail."""

from mlip_autopipec.validation.dimer import scan_pairs
from mlip_autopipec.validation.properties import judge, validate

__all__ = ["judge", "scan_pairs", "validate"]
