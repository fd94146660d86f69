"""Choosing few, diverse frames among many."""

from mlip_autopipec.sampling.choose import choose_candidates, choose_uncertain

__all__ = ["choose_candidates", "choose_uncertain"]
