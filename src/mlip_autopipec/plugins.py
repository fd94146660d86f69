"""What a name in the config stands for: a part of ours, or one that an installed package offers as an entry point."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from mlip_autopipec.errors import ConfigError, nearest


def find(name: str, built_in: Mapping[str, str], group: str, key: str, what: str) -> Any:
    """The part of this name; ours come first, so that no package can replace them.

    Args:
        built_in: 'package.module' or 'package.module:attribute' of ours, by name.
        group: of the entry points.
        key, what: of the config, and what it names, for messages.

    Raises:
        ConfigError: there is none, or it cannot be imported.
    """
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    offered = entry_points(group=group)
    if name not in offered.names:
        known = {*built_in, *offered.names}
        raise ConfigError(key, name, f"no such {what}", f"Known: {', '.join(sorted(known))}.{nearest(name, known)}")
    try:
        return offered[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            key, name, f"the package that offers it cannot be used ({error})", "Mend or remove it."
        ) from None
