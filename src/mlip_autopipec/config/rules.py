"""What a rule is: a name, a source and a sentence for one value, and the values it may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlip_autopipec.config import composition
from mlip_autopipec.config.choice import Choice

Decide = Callable[["Known"], tuple[Any, str]]


@dataclass(frozen=True)
class Rule:
    """How one value is inferred.

    Attributes:
        decide: gives the value and a sentence on why it is this one.
        source: paper, manual, measurement or choice that the rule stands on.
        completes: the value is a dict, of which the user may write single entries.
    """

    key: str
    decide: Decide
    source: str
    completes: bool = False

    @property
    def name(self) -> str:
        """The function's name, shown beside the value."""
        return self.decide.__name__


OURS = "this project's choice"
FOLLOWS = "follows from other keys"
RULES: dict[str, Rule] = {}
# Asked before the rule of a key: what stands in its place where another choice leaves the rule without meaning.
INSTEAD: list[Callable[[Known, str], Choice | None]] = []


def rule(key: str, source: str, *, completes: bool = False) -> Callable[[Decide], Decide]:
    """Register the function that infers `key`."""

    def register(decide: Decide) -> Decide:
        assert key not in RULES, key
        RULES[key] = Rule(key, decide, source, completes)
        return decide

    return register


class Known:
    """The values by dotted key; one that nobody chose is inferred when it is asked for, so the order of rules follows
    from what they ask.

    Attributes:
        used: by inferred key, the keys its rule asked for.
    """

    def __init__(self, choices: dict[str, Choice]) -> None:
        self.choices = choices
        self.used: dict[str, set[str]] = {}
        self._asking: list[str] = []
        self._partly = {key: choices[key].value for key, r in RULES.items() if r.completes and choices[key].by != "?"}

    def __getitem__(self, key: str) -> Any:
        if self._asking:
            self.used[self._asking[-1]].add(key)
        if key not in self.used and (self.choices[key].by == "?" or key in self._partly):
            self._infer(key)
        return self.choices[key].value

    def _infer(self, key: str) -> None:
        rule = RULES[key]
        self.used[key] = set()
        self._asking.append(key)
        try:
            instead = next((found for ask in INSTEAD if (found := ask(self, key)) is not None), None)
            value, why = (instead.value, instead.why) if instead else rule.decide(self)
        finally:
            self._asking.pop()
        written = self._partly.get(key)
        if written is not None and set(value) <= set(written):
            return
        if written:
            value, why = {**value, **written}, f"{why}; written: {', '.join(written)}"
        by, source = (instead.by, instead.source) if instead else (rule.name, rule.source)
        self.choices[key] = Choice(value, by, why, source)

    def is_written(self, key: str) -> bool:
        """Whether the user chose this value, wholly or in part."""
        return self.choices[key].by == "user" or key in self._partly

    def written(self, key: str) -> dict[str, Any]:
        """The entries of a dict that the user wrote; its rule completes them."""
        return dict(self._partly.get(key) or {})

    @property
    def amounts(self) -> dict[str, float]:
        """Amount of each element, in the formula's order."""
        return composition.amounts_of(self["composition"], self["molecule"])

    @property
    def fractions(self) -> dict[str, float]:
        """Atomic fraction of each element."""
        total = sum(self.amounts.values())
        return {symbol: amount / total for symbol, amount in self.amounts.items()}

    @property
    def classes(self) -> list[str]:
        """Material classes, the most fitting first."""
        found: list[str] = self["class"]
        return found

    @property
    def main_class(self) -> str:
        """The most fitting class."""
        return self.classes[0]
