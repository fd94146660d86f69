"""Rules: density functional theory. Pseudopotentials, cutoffs, k-points, smearing, spin."""

from __future__ import annotations

import os

from mlip_autopipec.config import elements, magnetism, molecules, pseudopotentials
from mlip_autopipec.config.rules import Known, rule
from mlip_autopipec.errors import ConfigError

DEBIAN_PSEUDO_DIR = "/usr/share/espresso/pseudo"
SSSP = "SSSP 1.3.0: Prandini et al., npj Comput. Mater. 4, 72 (2018)"
COLD = "Marzari et al., Phys. Rev. Lett. 82, 3296 (1999); measured in this project"
MESHES = "usual practice: Monkhorst and Pack, Phys. Rev. B 13, 5188 (1976); Choudhary and Tavazza (2019)"
HUND = "high-spin moments: Ashcroft and Mermin, ch. 31; manual of pw.x"


@rule("labelling.pseudo_dir", "Quantum ESPRESSO's environment variable; Debian's folder")
def pseudopotential_folders_of_this_machine(known: Known) -> tuple[list[str], str]:
    places = [os.environ.get("ESPRESSO_PSEUDO", ""), "pseudopotentials", DEBIAN_PSEUDO_DIR]
    return [p for p in places if p], "ESPRESSO_PSEUDO, ./pseudopotentials, the system's folder"


@rule("labelling.pseudopotentials", SSSP, completes=True)
def pseudopotentials_of_one_functional(known: Known) -> tuple[dict[str, str], str]:
    named = known.written("labelling.pseudopotentials")
    return pseudopotentials.choose(known.amounts, known["labelling.pseudo_dir"], named)


def _carriers(known: Known) -> list[str]:
    """Elements with a moment in the material, or in its molecule."""
    return magnetism.magnetic_elements(_of_one_molecule(known), molecular=known.main_class == "molecular")


def _of_one_molecule(known: Known) -> dict[str, float]:
    """The amounts of one molecule (H is H2), or of the formula where it is no known molecule."""
    if known.main_class != "molecular" or known["molecule"]:
        return known.amounts
    try:
        return molecules.molecule_of(known.amounts).amounts
    except ConfigError:
        return known.amounts


def _files(known: Known) -> dict[str, str]:
    """The files of the composition's elements."""
    names = known["labelling.pseudopotentials"]
    return {symbol: names[symbol] for symbol in known.amounts if symbol in names}


@rule("labelling.ecutwfc_ry", SSSP)
def wavefunction_cutoff_of_the_pseudopotentials(known: Known) -> tuple[float, str]:
    wavefunction, _, why = pseudopotentials.cutoffs_ry(_files(known), known["labelling.pseudo_dir"])
    return wavefunction, why


@rule("labelling.ecutrho_ry", SSSP)
def density_cutoff_of_the_pseudopotentials(known: Known) -> tuple[float, str]:
    files, folders = _files(known), known["labelling.pseudo_dir"]
    if not known.is_written("labelling.ecutwfc_ry"):
        _, density, why = pseudopotentials.cutoffs_ry(files, folders)
        return density, why
    soft = pseudopotentials.all_norm_conserving(files, folders)
    factor, kind = (4, "norm-conserving") if soft else (8, "ultrasoft or PAW")
    return factor * float(known["labelling.ecutwfc_ry"]), f"{factor} x ecutwfc_ry: {kind}"


def is_metallic(known: Known) -> bool:
    """Whether nothing but a metal is meant: a gap cannot be met."""
    only_metals = set(known.classes) <= {"metal", "alloy"} or all(elements.is_metal(s) for s in known.amounts)
    return known.main_class in ("metal", "alloy") and only_metals


@rule("labelling.kspacing_per_angstrom", MESHES)
def k_points_by_the_gap(known: Known) -> tuple[float, str]:
    if is_metallic(known):
        return 0.2, "metal: the Fermi surface must be sampled"
    if known.main_class in ("molecular", "noble"):
        return 0.5, "wide gap and flat bands; one point through vacuum"
    if known.main_class == "ionic" and "metal" not in known.classes and not _carriers(known):
        return 0.3, "a gap: half the density of a metal's mesh suffices"
    return 0.2, "as for a metal: its liquid, or some of its phases or moments, may have no gap"


@rule("labelling.smearing", COLD)
def cold_smearing_for_metals_alone(known: Known) -> tuple[str, str]:
    if is_metallic(known):
        return "cold", "Marzari-Vanderbilt: energies of a metal hardly depend on its width"
    return "gaussian", "cold smearing can settle on a wrong Fermi level where there is a gap"


@rule("labelling.degauss_ry", COLD)
def narrow_smearing_where_there_is_a_gap(known: Known) -> tuple[float, str]:
    if is_metallic(known):
        return 0.01, "usual for metals"
    return 0.005, "narrow against a gap, wide enough for a melt"


@rule("labelling.nspin", HUND)
def spin_where_shells_are_open(known: Known) -> tuple[int, str]:
    if known.written("labelling.starting_magnetization"):
        return 2, "starting moments are written"
    carriers = _carriers(known)
    if carriers:
        if known.main_class == "molecular" and magnetism.is_radical(_of_one_molecule(known)):
            return 2, "an odd number of electrons: one is unpaired"
        return 2, f"{', '.join(carriers)} may carry moments; collinear"
    return 1, "no element of it has a moment, by the element, the charges of the ions or the number of electrons"


@rule("labelling.starting_magnetization", HUND, completes=True)
def moments_start_parallel_and_high(known: Known) -> tuple[dict[str, float], str]:
    if known["labelling.nspin"] == 1:
        return {}, "without spin"
    names, folders = known["labelling.pseudopotentials"], known["labelling.pseudo_dir"]
    found, told = {}, []
    for symbol in _carriers(known):
        valence = pseudopotentials.valence_electrons(symbol, names.get(symbol, ""), folders)
        valence = valence or magnetism.nominal_valence_electrons(symbol, names.get(symbol, "")) or 16.0
        moment = magnetism.starting_moment(symbol, known.amounts)
        found[symbol] = magnetism.starting_fraction(moment, valence)
        told.append(f"{symbol} {found[symbol] * valence:.1f} of {valence:g} electrons")
    if not found:
        return {}, "no element of it has a moment by the rules: write the moments that you mean"
    return found, f"ferromagnetic start, {', '.join(told)}; antiferromagnetic order is not tried"


@rule("labelling.magnetic_states", HUND)
def several_starts_where_there_are_moments(known: Known) -> tuple[list[str], str]:
    if known["labelling.nspin"] == 1:
        return [], "without spin"
    return ["high", "low", "antiferro"], "a self-consistent field keeps the kind of order that it starts from"
