"""Shares of the material classes with reasons, as the rules hand them on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """Shares by class (they need not sum to 1) and the reasons in words."""

    shares: dict[str, float]
    reasons: list[str]

    @property
    def first(self) -> str:
        """The class with the largest share."""
        return max(self.shares, key=lambda name: self.shares[name])

    def mixed(self, more: dict[str, float], reason: str) -> Evidence:
        """The same with `more` added; what was there gives way, so that the sum stays 1."""
        whole, given = sum(self.shares.values()), sum(more.values())
        shares = {name: share / whole * (1 - given) for name, share in self.shares.items()}
        for name, share in more.items():
            shares[name] = shares.get(name, 0.0) + share
        return Evidence(shares, [*self.reasons, reason])
