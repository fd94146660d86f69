"""Formulas that no starting structure made here can hold: refused in one message, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlip_autopipec.config import composition, elements
from mlip_autopipec.config.sites import Shared
from mlip_autopipec.config.structure_types import HOLE_ATOMS
from mlip_autopipec.errors import ConfigError

SOLUTES = HOLE_ATOMS | {"O"}
SOLUTE_MAX = 0.101  # atomic fraction up to which light atoms in metals are called solutes
# Atoms of the largest formula unit that is searched at random: crystals hold several (Nd2Fe14B, 17 atoms in the
# formula, has 68 in its cell), and random search finds ground states of a dozen or two atoms (Pickard and Needs 2011).
UNIT_MAX = 16
_GIVE = "Write 'structure: my.cif' with a cell of this material"


def has_hole_atoms(amounts: Mapping[str, float]) -> bool:
    """Whether H, B, C, N or O are beside metals."""
    return bool(set(amounts) & SOLUTES) and any(elements.is_metal(s) for s in amounts)


def sharing(shared: Shared) -> str:
    """In words which elements share sites: 'Al and Ga share sites'."""
    return "; ".join(f"{' and '.join(group)} share sites" for group in shared.values() if len(group) > 1)


def no_host(text: str, whole: Mapping[str, int]) -> ConfigError:
    """The error for shared sites of a formula without a known structure type."""
    host = composition.formula({symbol: float(number) for symbol, number in whole.items()})
    return ConfigError(
        "composition", text, f"its elements share sites of {host}, of which no structure type is known here",
        f"{_GIVE}, the sites filled at random or in order.",
    )  # fmt: skip


def refuse_what_nothing_can_hold(
    text: str, amounts: Mapping[str, float], types: Sequence[str], lattices: Sequence[str]
) -> None:
    """Say why there is no starting structure for solutes in holes, vacancies and large formula units.

    Raises:
        ConfigError: key composition; the mend is a file, or the host alone.
    """
    if types or lattices or len(amounts) == 1:
        return
    total = sum(amounts.values())
    rest = {s: n for s, n in amounts.items() if s not in SOLUTES}
    fractions = composition.is_alloy_fraction(amounts)
    light = [s for s in amounts if s in SOLUTES]
    if light and all(map(elements.is_metal, rest)) and (fractions or len(rest) == 1):
        share = sum(amounts[s] for s in light) / total
        if share <= SOLUTE_MAX:
            host = composition.formula(rest if len(rest) > 1 else dict.fromkeys(rest, 1.0))
            raise ConfigError(
                "composition", text,
                f"{', '.join(light)} ({100 * share:.2g} atomic percent) would sit in holes between the metal atoms: no "
                "solute is placed there by itself",
                f"{_GIVE}, the solute in place, or the host alone{_as_composition(host, rest)}.",
            )  # fmt: skip
    whole = composition.reduced_integers(amounts, limit=UNIT_MAX)
    if whole is None and fractions:
        raise ConfigError(
            "composition", text,
            "no structure type, shared sublattice or random crystal can hold these fractions: some site must be empty",
            f"{_GIVE}, its vacancies in place, or a formula of whole numbers.",
        )  # fmt: skip
    if whole is None:
        raise ConfigError(
            "composition", text,
            f"a compound of {total:g} atoms per formula unit: no structure type of it is known here, and random search "
            f"finds crystals of {UNIT_MAX} atoms per unit at most",
            f"{_GIVE}.",
        )  # fmt: skip


def _as_composition(host: str, rest: Mapping[str, float]) -> str:
    return f", 'composition: {host}'" if len(rest) == 1 else ""
