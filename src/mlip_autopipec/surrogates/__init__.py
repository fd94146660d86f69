"""Universal interatomic potentials by the name in the config: they drive exploration, and may be teachers of labels.

Only names are here: what needs ASE or PyTorch is imported when it is used, because the config asks this package, at
every dry run, which surrogates there are.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlip_autopipec.surrogates.known import SURROGATES

if TYPE_CHECKING:
    from mlip_autopipec.surrogates.chosen import (
        check_invariants,
        chosen_surrogate,
        loader_of_invariants,
        relaxed_among,
    )
    from mlip_autopipec.surrogates.elements import check_elements, known_elements
    from mlip_autopipec.surrogates.hooks import Invariants, invariants
    from mlip_autopipec.surrogates.loading import load_surrogate
    from mlip_autopipec.surrogates.provenance import identity
    from mlip_autopipec.surrogates.short_range import with_repulsion

PACKAGES = {name: known.module for name, known in SURROGATES.items()}  # what Python imports for each of them
_PLACES = {
    "Invariants": "hooks",
    "check_elements": "elements",
    "check_invariants": "chosen",
    "loader_of_invariants": "chosen",
    "relaxed_among": "chosen",
    "chosen_surrogate": "chosen",
    "identity": "provenance",
    "invariants": "hooks",
    "known_elements": "elements",
    "load_surrogate": "loading",
    "with_repulsion": "short_range",
}
__all__ = [
    "PACKAGES",
    "SURROGATES",
    "Invariants",
    "check_elements",
    "check_invariants",
    "chosen_surrogate",
    "identity",
    "invariants",
    "known_elements",
    "load_surrogate",
    "loader_of_invariants",
    "relaxed_among",
    "with_repulsion",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
