"""What a user is told when something is wrong: one sentence with the place, the value and the mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MlipError(Exception):
    """Base of every error a user may meet; `str(error)` is the whole message, no traceback needed."""


class ConfigError(MlipError):
    """A key of the config has a value that cannot be used.

    Args:
        key: dotted name of the key, as the user writes it.
        value: what the user wrote.
        problem: what is wrong with it.
        mend: what to write instead.
    """

    def __init__(self, key: str, value: object, problem: str, mend: str) -> None:
        self.key, self.value, self.problem, self.mend = key, value, problem, mend
        super().__init__(f"config key '{key}' = {value!r}: {problem}. {mend}")


class InputFileError(MlipError):
    """A file that a stage reads is missing, truncated or holds what it must not."""

    def __init__(self, path: object, problem: str, mend: str) -> None:
        self.path, self.problem, self.mend = str(path), problem, mend
        super().__init__(f"{path}: {problem}. {mend}")


class ConfigurationFault(MlipError):
    """The set-up is wrong in a way that every further job would meet too: the campaign must stop at once."""

    def __init__(self, problem: str, mend: str) -> None:
        self.problem, self.mend = problem, mend
        super().__init__(f"{problem}. {mend}")


class DataError(MlipError):
    """Numbers that cannot be trained on or evaluated (NaN, wrong shape, unknown element, atoms too close)."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint ' Did you mean ...?' with the closest known word, or '' when none is close."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1) or get_close_matches(word.capitalize(), names, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
