"""What is told otherwise where the labels are a teacher's: nothing of it may pass for density functional theory."""

from __future__ import annotations

import re

from mlip_autopipec.config import Config, DataConfig
from mlip_autopipec.config.label_source import LabelSource, label_source

_AFTER_PREPOSITION = re.compile(r"\b(with|to|from|against|of|for|by|ask|The|the|all|lowest)(\s+)DFT\b(?!</?\w)")
_AT_THE_START = re.compile(r"((?:^|[.>] ?))DFT\b(?= \w)")
_THE_PROGRAM = re.compile(r"\bThe DFT program said")


def source_of(config: Config | DataConfig) -> LabelSource | None:
    """What made the labels of this run; None for data of the user's own, which say so themselves."""
    return None if isinstance(config, DataConfig) else label_source(config.labelling)


def column_of(source: LabelSource | None) -> str:
    """The name of the labels' numbers beside those of the potential."""
    return "DFT" if source is None else source.column


def worded(text: str, source: LabelSource | None) -> str:
    """The text with the teacher in the place of DFT, where the labels are a teacher's.

    Sentences of the stages, of the template and of the rules were written for DFT, the usual case.
    """
    if source is None or source.column == "DFT":
        return text
    if source.column != "teacher":
        return re.sub(r"\bDFT\b", source.column, text)
    text = _THE_PROGRAM.sub("The teacher said", text)

    def name(found: re.Match[str]) -> str:
        word, space = found[1], found[2]
        article = "" if word in ("The", "the", "all", "lowest") else "the "
        return f"{word}{space}{article}teacher"

    text = _AT_THE_START.sub(r"\1The teacher's", text)
    text = _AFTER_PREPOSITION.sub(name, text)
    text = re.sub(r"\ba DFT (value|reference)\b", r"a \1 of the teacher", text)
    return re.sub(r"\bDFT\b", "teacher", text)
