"""``python -m mlip_autopipec.config FePt``: the class with its reasons, and every inferred value."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mlip_autopipec.config import expand, inferred_summary
from mlip_autopipec.config.classify import classify
from mlip_autopipec.config.full import Config
from mlip_autopipec.errors import MlipError


def main(arguments: list[str] | None = None) -> int:
    """Print what is inferred from a composition; 2 when it cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m mlip_autopipec.config", description=__doc__)
    parser.add_argument("composition", nargs="?", help="chemical formula, such as FePt or Al0.9Mg0.1")
    parser.add_argument("--molecule", help="name, SMILES or file of the molecule")
    parser.add_argument("--structure", help="file of the crystal meant")
    parser.add_argument("--class", dest="material_class", action="append", help="material class (may be repeated)")
    given = parser.parse_args(arguments)
    written: dict[str, Any] = {
        "composition": given.composition, "molecule": given.molecule, "structure": given.structure,
        "class": given.material_class,
    }  # fmt: skip
    try:
        config, choices = expand({key: value for key, value in written.items() if value is not None})
    except MlipError as error:
        print(error, file=sys.stderr)
        return 2
    if isinstance(config, Config):
        weights = classify(config.amounts)
        chosen = "" if choices["class"].by != "user" else f" (written: {', '.join(config.material_class)})"
        print(f"{config.composition}: " + ", ".join(f"{w.material_class} {w.weight:.2f}" for w in weights) + chosen)
        for reason in weights[0].reasons:
            print(f"  because {reason}")
    print(inferred_summary(config, choices))
    return 0


if __name__ == "__main__":
    sys.exit(main())
