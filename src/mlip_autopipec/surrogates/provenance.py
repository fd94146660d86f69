"""Which potential a calculator is: what goes into the records of everything that it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlip_autopipec.calculators import distribution_of
from mlip_autopipec.surrogates.known import SURROGATES

_NOTE = "surrogate_identity"


def note(
    calculator: Any,
    name: str,
    *,
    file: Path | None = None,
    sha256: str = "",
    package: str = "",
    device: str = "",
    options: Mapping[str, Any] | None = None,
) -> None:
    """Write on a calculator what it was loaded from; without `package`, that of its class is found."""
    package, release = (package, version(package)) if package else distribution_of(type(calculator).__module__)
    known = SURROGATES.get(name)
    what = {
        "name": name,
        "title": known.title if known else name,
        "package": package,
        "version": release,
        "file": str(file) if file else "",
        "sha256": sha256,
        "licence": known.licence if known else "not known here: ask those who made it",
        "trained_on": known.trained_on if known else "not known here",
        "source": known.source if known else "",
        "device": device,
        "options": dict(options or {}),
    }
    # The same numbers come from the same weights, program and options, wherever the file lies.
    deciding = [what[k] for k in ("sha256", "package", "version", "options")] + ([] if sha256 else [name])
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True, default=repr).encode()).hexdigest()
    stem = file.stem if file and not known else name
    setattr(calculator, _NOTE, what | {"identity_key": f"{stem}-{digest[:12]}"})


def identity(name: str, calculator: Any) -> dict[str, Any]:
    """What a surrogate is, for records.

    Returns:
        ``name``, ``title``, ``package``, ``version``, ``file``, ``sha256`` (of the weights), ``licence`` (of the
        weights), ``trained_on``, ``source`` (paper), ``device``, ``options``, ``repulsion`` (what
        `with_repulsion` added, in words; '' for nothing) and ``identity_key``: a short string that is another one
        whenever the surrogate's own numbers may be others.
    """
    base = getattr(calculator, "surrogate", calculator)
    if not hasattr(base, _NOTE):
        note(base, name)
    return {**getattr(base, _NOTE), "repulsion": getattr(calculator, "repulsion_words", "")}
