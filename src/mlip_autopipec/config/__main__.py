"""``python -m mlip_autopipec.config FePt``: the class with its reasons, and every inferred value."""

from __future__ import annotations

import argparse
import sys
from signal import SIG_DFL, SIGPIPE, signal
from typing import Any

from mlip_autopipec.config import expand, inferred_summary
from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.classify import classes, classify
from mlip_autopipec.config.dump import wrapped
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
        print(_of_the_class(config, choices))
    print(inferred_summary(config, choices))
    return 0


def _of_the_class(config: Config, choices: dict[str, Choice]) -> str:
    """What the composition says about the class, with the reasons, and the class taken where it is another."""
    weights = classify(config.amounts)
    lines = [f"{config.composition}: " + ", ".join(f"{w.material_class} {w.weight:.2f}" for w in weights)]
    lines += [wrapped(f"because {reason}") for reason in weights[0].reasons]
    if config.material_class != classes(weights):
        why = "written" if choices["class"].by == "user" else choices["class"].why
        lines.append(f"  taken for {', '.join(config.material_class)}: {why}")
    return "\n".join(lines)


if __name__ == "__main__":
    signal(SIGPIPE, SIG_DFL)  # `| head` ends it quietly
    sys.exit(main())
