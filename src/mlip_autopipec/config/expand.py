"""From what the user wrote to the whole configuration: one named rule per inferred value."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil, pi
from typing import Any

from pydantic import ValidationError

from mlip_autopipec.artifacts import read_json
from mlip_autopipec.config import elements, own_data
from mlip_autopipec.config.choice import Choice, collect, nest
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.minimal import NEEDED, UserConfig, explain
from mlip_autopipec.config.pseudopotentials import all_norm_conserving, choose, cutoffs_ry
from mlip_autopipec.errors import ConfigError

DEBIAN_PSEUDO_DIR = "/usr/share/espresso/pseudo"


class Known:
    """The values decided so far, by dotted key."""

    def __init__(self) -> None:
        self.choices: dict[str, Choice] = {}

    def __getitem__(self, key: str) -> Any:
        return self.choices[key].value

    @property
    def amounts(self) -> dict[str, float]:
        return elements.parse_composition(self["composition"])

    @property
    def symbol(self) -> str:
        """The element; compounds are refused before any rule asks."""
        return next(iter(self.amounts))


Rule = Callable[[Known], Choice]
RULES: dict[str, Rule] = {}


def rule(key: str) -> Callable[[Callable[[Known], tuple[Any, str]]], Callable[[Known], tuple[Any, str]]]:
    """Register the function that infers `key`; its name is shown to the user, its second value says why."""

    def register(function: Callable[[Known], tuple[Any, str]]) -> Callable[[Known], tuple[Any, str]]:
        def apply(known: Known) -> Choice:
            value, why = function(known)
            return Choice(value, function.__name__, why)

        apply.__name__ = function.__name__
        RULES[key] = apply
        return function

    return register


@rule("run")
def run_is_named_after_the_composition(known: Known) -> tuple[str, str]:
    return known["composition"].strip().lower(), "results/<run>/ holds everything"


@rule("class")
def class_from_the_periodic_table(known: Known) -> tuple[list[str], str]:
    return elements.classify(known.amounts), f"by the position of {known.symbol} in the periodic table"


@rule("structures.lattice")
def lattice_of_the_ground_state(known: Known) -> tuple[str, str]:
    found = elements.ground_state_lattice(known.symbol)
    if not found:
        raise ConfigError(
            "structures.lattice", None, f"no simple ground-state lattice is known for {known.symbol}",
            "Write structures.lattice (fcc, bcc, hcp, diamond or sc) and structures.lattice_constant_angstrom.",
        )  # fmt: skip
    return str(found["symmetry"]), "experimental room-temperature lattice (Ashcroft and Mermin, ASE's table)"


@rule("structures.lattice_constant_angstrom")
def lattice_constant_from_the_table_or_the_radius(known: Known) -> tuple[float, str]:
    found = elements.ground_state_lattice(known.symbol)
    lattice = known["structures.lattice"]
    if found.get("symmetry") == lattice:
        return float(found["a"]), "experimental lattice constant (Ashcroft and Mermin, ASE's table)"
    bond = 2 * elements.covalent_radius_angstrom(known.symbol)
    per_bond = {"diamond": 4 / 3**0.5, "fcc": 2**0.5, "bcc": 2 / 3**0.5, "hcp": 1.0, "sc": 1.0}[lattice]
    return round(bond * per_bond, 3), "twice the covalent radius (Cordero 2008) as nearest-neighbour distance"


@rule("structures.c_over_a")
def c_over_a_from_the_table_or_ideal(known: Known) -> tuple[float, str]:
    found = elements.ground_state_lattice(known.symbol)
    if known["structures.lattice"] == "hcp" == found.get("symmetry"):
        return float(found["c/a"]), "experimental ratio (Ashcroft and Mermin, ASE's table)"
    return 1.633, "ideal spheres; used by hcp alone"


@rule("structures.repeat")
def smallest_cell_of_eight_atoms_and_seven_angstrom(known: Known) -> tuple[list[int], str]:
    lattice, a = known["structures.lattice"], known["structures.lattice_constant_angstrom"]
    edges = _conventional_edges(lattice, a, known["structures.c_over_a"])
    atoms = {"diamond": 8, "fcc": 4, "bcc": 2, "hcp": 4, "sc": 1}[lattice]
    repeat = [max(1, round(7.0 / edge)) for edge in edges]
    while atoms * repeat[0] * repeat[1] * repeat[2] < 8:
        shortest = min(range(3), key=lambda i: repeat[i] * edges[i])
        repeat[shortest] += 1
    return repeat, "edges near 7 A and at least 8 atoms: small enough for many labels"


def _conventional_edges(lattice: str, a: float, c_over_a: float) -> list[float]:
    return [a, a * 3**0.5, a * c_over_a] if lattice == "hcp" else [a, a, a]


@rule("sampling.candidates")
def candidates_are_the_first_labels(known: Known) -> tuple[int, str]:
    return known["active_learning.labels_first"], "as many as generation 0 labels"


@rule("sampling.soap_cutoff_angstrom")
def soap_sees_what_the_potential_sees(known: Known) -> tuple[float, str]:
    return float(known["training.cutoff_angstrom"]), "the potential's cutoff"


def _bond_angstrom(known: Known) -> float:
    lattice, a = known["structures.lattice"], float(known["structures.lattice_constant_angstrom"])
    bond_over_a: dict[str, float] = {"diamond": 3**0.5 / 4, "fcc": 0.5**0.5, "bcc": 3**0.5 / 2, "hcp": 1.0, "sc": 1.0}
    return a * bond_over_a[lattice]


@rule("training.cutoff_angstrom")
def cutoff_of_2_35_bonds(known: Known) -> tuple[float, str]:
    return round(2.35 * _bond_angstrom(known), 1), "2.35 bond lengths; test errors are flat around it"


@rule("training.zbl_outer_angstrom")
def zbl_ends_below_the_bonds(known: Known) -> tuple[float, str]:
    return round(0.72 * _bond_angstrom(known), 3), "0.72 of the bond: bonds themselves are left to the data"


@rule("training.zbl_inner_angstrom")
def zbl_is_whole_at_half_a_bond(known: Known) -> tuple[float, str]:
    return round(0.45 * _bond_angstrom(known), 3), "0.45 of the bond: no data there, so repulsion is whole"


@rule("labelling.pseudo_dir")
def pseudopotential_folders_of_this_machine(known: Known) -> tuple[list[str], str]:
    places = [os.environ.get("ESPRESSO_PSEUDO", ""), "pseudopotentials", DEBIAN_PSEUDO_DIR]
    return [p for p in places if p], "ESPRESSO_PSEUDO, ./pseudopotentials, the system's folder"


@rule("labelling.pseudopotentials")
def pseudopotential_of_sssp_or_the_best_installed(known: Known) -> tuple[dict[str, str], str]:
    chosen = {s: choose(s, known["labelling.pseudo_dir"]) for s in known.amounts}
    reasons = "; ".join(f"{s}: {why}" for s, (_, why) in chosen.items())
    return {s: name for s, (name, _) in chosen.items()}, reasons


def _cutoffs(known: Known) -> tuple[float, float, str]:
    return cutoffs_ry(known["labelling.pseudopotentials"], known["labelling.pseudo_dir"])


@rule("labelling.ecutwfc_ry")
def wavefunction_cutoff_of_the_pseudopotential(known: Known) -> tuple[float, str]:
    wavefunction, _, why = _cutoffs(known)
    return wavefunction, why


@rule("labelling.ecutrho_ry")
def density_cutoff_of_the_pseudopotential(known: Known) -> tuple[float, str]:
    if known.choices["labelling.ecutwfc_ry"].by != "user":
        _, density, why = _cutoffs(known)
        return density, why
    soft = all_norm_conserving(known["labelling.pseudopotentials"], known["labelling.pseudo_dir"])
    factor, kind = (4, "norm-conserving") if soft else (8, "ultrasoft or PAW")
    return factor * float(known["labelling.ecutwfc_ry"]), f"{factor} x ecutwfc_ry: {kind}"


@rule("labelling.smearing")
def cold_smearing_for_metals_alone(known: Known) -> tuple[str, str]:
    if known["class"] == ["metal"]:
        return "cold", "Marzari-Vanderbilt: energies of a metal hardly depend on its width"
    return "gaussian", "cold smearing can settle on a wrong Fermi level where there is a gap"


@rule("labelling.degauss_ry")
def narrow_smearing_where_there_is_a_gap(known: Known) -> tuple[float, str]:
    if known["class"] == ["metal"]:
        return 0.01, "usual for metals"
    return 0.005, "narrow against a gap, wide enough for a melt"


@rule("labelling.kmesh")
def mesh_from_the_spacing(known: Known) -> tuple[list[int], str]:
    edges = _conventional_edges(
        known["structures.lattice"], known["structures.lattice_constant_angstrom"], known["structures.c_over_a"]
    )
    spacing = known["labelling.kspacing_per_angstrom"]
    mesh = [
        max(1, ceil(2 * pi / (edge * n * spacing) - 1e-6))
        for edge, n in zip(edges, known["structures.repeat"], strict=True)
    ]
    return mesh, f"2 pi / (edge x {spacing}/A), rounded up, for the unstrained cell"


def expand(written: dict[str, Any]) -> tuple[Config | own_data.DataConfig, dict[str, Choice]]:
    """Infer the whole configuration from what the user wrote.

    Args:
        written: the user's config as nested dicts; only `composition` is needed, or `training.dataset`.

    Returns:
        The validated configuration and, by dotted key, what chose each value. With `training.dataset` it is that of a
        run that starts at training, and what depends on the data is still open.

    Raises:
        ConfigError: an unknown key, a wrong type, an impossible value, or a value that no rule can infer here.
    """
    if not isinstance(written, dict):
        raise ConfigError("config", written, "not a mapping of keys", "Write for example 'composition: Si'.")
    if isinstance(written.get("composition"), bool):
        raise ConfigError("composition", written["composition"], "YAML reads this word as yes or no", "Quote it: 'NO'.")
    starts_from_data = own_data.is_meant(written)
    if written.get("composition") is not None and not starts_from_data:
        _refuse_what_is_not_built(written["composition"])
    try:
        checked = UserConfig.model_validate(written).model_dump(by_alias=True, exclude_unset=True)
    except ValidationError as error:
        raise explain(error, UserConfig, written) from None
    if starts_from_data:
        return own_data.expand(checked)
    if checked.get("composition") is None:
        raise ConfigError("composition", None, "this key is needed", NEEDED)
    own_data.refuse_unused_keys(checked)

    known = Known()
    collect(Config, "", checked, known.choices)
    missing = [key for key, choice in known.choices.items() if choice.by == "?"]
    _infer(missing, known)
    nested = nest(known.choices)
    try:
        return Config.model_validate(nested), known.choices
    except ValidationError as error:
        raise explain(error, Config, nested) from None


def expand_with_data(
    written: dict[str, Any], records: list[str]
) -> tuple[Config | own_data.DataConfig, dict[str, Choice]]:
    """The same as `expand`, with what the user's data decided where there are such data.

    Args:
        records: the path of `dataset_gen0.json`, or nothing.
    """
    config, choices = expand(written)
    if isinstance(config, own_data.DataConfig) and records:
        return own_data.resolve(config, choices, read_json(records[0])["inferred"])
    return config, choices


def _refuse_what_is_not_built(composition: object) -> None:
    amounts = elements.parse_composition(composition)
    if len(amounts) > 1:
        raise ConfigError(
            "composition", composition, "starting structures are built for single elements only in this version",
            f"Write one element, for example '{next(iter(amounts))}'.",
        )  # fmt: skip
    magnetic = sorted(set(amounts) & elements.MAGNETIC)
    if magnetic:
        raise ConfigError(
            "composition", composition,
            f"{', '.join(magnetic)} is magnetic, and this version labels without spin: that would be the wrong physics",
            "Take an element that is not magnetic.",
        )  # fmt: skip


ORDER = (
    "run", "class", "structures.lattice", "structures.lattice_constant_angstrom", "structures.c_over_a",
    "structures.repeat",
    "training.cutoff_angstrom", "training.zbl_outer_angstrom", "training.zbl_inner_angstrom", "sampling.candidates",
    "sampling.soap_cutoff_angstrom", "labelling.pseudo_dir", "labelling.pseudopotentials", "labelling.ecutwfc_ry",
    "labelling.ecutrho_ry", "labelling.smearing", "labelling.degauss_ry", "labelling.kmesh",
)  # fmt: skip


def _infer(missing: list[str], known: Known) -> None:
    assert set(missing) <= set(ORDER), set(missing) - set(ORDER)
    for key in ORDER:
        if key in missing:
            known.choices[key] = RULES[key](known)
