"""What a model file is, found out without loading it: loading one runs the code that it holds."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Literal

from mlip_autopipec.errors import InputFileError

Family = Literal["mace", "sevennet"]
_MEND = "Name a model of MACE (as its training writes it, .model) or a checkpoint of SevenNet (.pth)"
_COPY = "Copy it again, and compare its size and checksum."


def family_of(path: Path) -> Family:
    """Which package a model file is for, by the names in its pickle.

    Raises:
        InputFileError: it is missing, truncated, damaged, no archive of PyTorch, or a model of something else.
    """
    if not path.exists():
        raise InputFileError(path, "no such file", _MEND + "; relative paths start where snakemake is started.")
    if not path.is_file():
        raise InputFileError(path, "a folder, not a model file", _MEND + ".")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            pickles = [name for name in members if name.endswith("/data.pkl")]
            classes, words = _names(archive.read(pickles[0])) if pickles else (set(), set())
            # PyTorch does not look at the checksums in the archive: it loads damaged weights as if they were whole.
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        if zipfile.is_zipfile(path):
            problem = f"damaged: {str(error)[:1].lower()}{str(error)[1:]}"
        else:
            start = path.open("rb").read(2)
            problem = "cut short: the archive has no end" if start == b"PK" else "no model file of PyTorch"
        raise InputFileError(path, problem, _COPY) from None
    except OSError as error:
        raise InputFileError(path, f"cannot be read ({error.strerror or error})", _MEND + ".") from None
    except ValueError as error:
        raise InputFileError(path, f"its pickle is broken ({error})", "Copy it again.") from None
    if damaged is not None:
        raise InputFileError(path, f"damaged: {damaged} in it has another checksum than it was written with", _COPY)
    if any(name.endswith("/constants.pkl") for name in members):
        raise InputFileError(
            path, "a deployed (TorchScript) model, which shows neither elements nor invariants",
            "Name the model or checkpoint that it was deployed from.",
        )  # fmt: skip
    modules = {name.partition(" ")[0].partition(".")[0] for name in classes}
    if "mace" in modules:
        return "mace"
    if {"model_state_dict", "config"} <= words:
        return "sevennet"
    found = ", ".join(sorted(modules - {"_codecs", "builtins", "__builtin__", "collections"})) or "nothing"
    raise InputFileError(
        path, f"neither a model of MACE nor a checkpoint of SevenNet (its parts: {found})", _MEND + "."
    )


def _names(pickled: bytes) -> tuple[set[str], set[str]]:
    """'module name' of every class and function in a pickle, and every string."""
    classes: set[str] = set()
    words: set[str] = set()
    latest = ["", ""]
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            classes.add(str(argument))
        elif operation.name == "STACK_GLOBAL":
            classes.add(" ".join(latest))
        elif isinstance(argument, str):
            words.add(argument)
            latest = [latest[1], argument]
    return classes, words
