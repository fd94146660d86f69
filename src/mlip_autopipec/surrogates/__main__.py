"""Bring a surrogate's weights to this machine: ``python -m mlip_autopipec.surrogates fetch mace-mp``."""

from __future__ import annotations

import argparse
import sys

from mlip_autopipec.errors import MlipError
from mlip_autopipec.surrogates.fetching import SILENCE_SECONDS, Unreachable, fetch
from mlip_autopipec.surrogates.known import SURROGATES
from mlip_autopipec.surrogates.weights import cached


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m mlip_autopipec.surrogates", description="Universal surrogates and their weights."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the surrogates with a name, and whether their weights are here")
    getting = commands.add_parser("fetch", help="bring the weights of a surrogate to this machine")
    getting.add_argument("name", help=", ".join(n for n, known in SURROGATES.items() if known.entry))
    getting.add_argument(
        "--if-reachable", type=float, metavar="SECONDS", help="without a network give up after so long, which is fine"
    )
    asked = parser.parse_args(arguments)
    if asked.command == "list":
        for name, known in SURROGATES.items():
            place = cached(name) if known.entry else f"with the package {known.package}"
            print(f"{name:12} {known.title}, licence {known.licence}, weights: {place or 'not here'}")
        return 0
    try:
        fetch(asked.name, timeout_seconds=asked.if_reachable or SILENCE_SECONDS)
    except Unreachable as error:
        if asked.if_reachable is None:
            print(error, file=sys.stderr)
            return 1
        print(f"{error.problem}: SevenNet-0 will be used")
    except MlipError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
