"""Rules: density functional theory. Pseudopotentials, cutoffs, k-points, smearing."""

from __future__ import annotations

import os

from mlip_autopipec.config import elements, pseudopotentials
from mlip_autopipec.config.rules import FOLLOWS, Known, rule
from mlip_autopipec.config.rules_spin import carriers
from mlip_autopipec.labelling.espresso.sssp import cache_folder, library_of

DEBIAN_PSEUDO_DIR = "/usr/share/espresso/pseudo"
# k-spacing of metals, 1/A with the factor 2 pi, as in protocols/pw/base.yaml of aiida-quantumespresso 5. The same fcc
# aluminium in five cells of other shapes and meshes: energies differ by 1.5 meV/atom (standard deviation) at 0.15, by
# 3.9 at 0.2, by 14 at 0.3, by 0.7 at 0.1 1/A.
METAL_KSPACING = {"fast": 0.30, "balanced": 0.15, "stringent": 0.10}
# Width of cold smearing of metals, Ry. AiiDA's are 0.0275, 0.02 and 0.0125. Measured on ferromagnetic bcc iron (PBE, 14
# points a side), 0.02 is 2.8, 5.1 and 6.9 meV/atom above 0.01 at 2.77, 2.83 and 2.90 A, and 2.0 below it on fcc iron
# without moments: it bends equations of state and shifts phases. Aluminium's noise by the mesh is hardly less with it
# (1.3 and 1.5 meV/atom).
METAL_DEGAUSS_RY = {"fast": 0.02, "balanced": 0.01, "stringent": 0.01}
# Where there is a gap the error falls exponentially with the mesh, so that coarser ones do; the protocol scales them.
GAP_SPACING_FACTOR = {"fast": 1.5, "balanced": 1.0, "stringent": 2 / 3}
CONV_THR_RY_PER_ATOM = {"fast": 4e-10, "balanced": 2e-10, "stringent": 1e-10}
SSSP = "SSSP 1.3.0: Prandini et al., npj Comput. Mater. 4, 72 (2018)"
COLD = "Marzari et al., Phys. Rev. Lett. 82, 3296 (1999); measured in this project"
PROTOCOLS = "AiiDA's protocols for pw.x: Nascimento et al., arXiv:2504.03962 (2025); measured in this project"
MESHES = "usual practice: Monkhorst and Pack, Phys. Rev. B 13, 5188 (1976); Choudhary and Tavazza (2019)"


@rule("labelling.pseudo_dir", "Quantum ESPRESSO's environment variable; Debian's folder")
def pseudopotential_folders_of_this_machine(known: Known) -> tuple[list[str], str]:
    fetched = str(cache_folder(library_of(known["labelling.protocol"])))
    places = [os.environ.get("ESPRESSO_PSEUDO", ""), "pseudopotentials", fetched, DEBIAN_PSEUDO_DIR]
    return [p for p in places if p], "ESPRESSO_PSEUDO, ./pseudopotentials, fetched SSSP files, the system's folder"


@rule("labelling.pseudopotentials", SSSP, completes=True)
def pseudopotentials_of_one_functional(known: Known) -> tuple[dict[str, str], str]:
    named = known.written("labelling.pseudopotentials")
    return pseudopotentials.choose(known.amounts, known["labelling.pseudo_dir"], named, known["labelling.protocol"])


@rule("labelling.pseudopotential_md5", FOLLOWS)
def checksums_of_the_pseudopotentials(known: Known) -> tuple[dict[str, str], str]:
    if known["labelling.engine"] != "espresso":
        return {}, "Quantum ESPRESSO's files alone"
    found = pseudopotentials.md5_of(_files(known), known["labelling.pseudo_dir"])
    absent = [symbol for symbol in _files(known) if symbol not in found]
    return found, f"unknown until it is installed: {', '.join(absent)}" if absent else "of the files' contents"


def _files(known: Known) -> dict[str, str]:
    """The files of the composition's elements."""
    names = known["labelling.pseudopotentials"]
    return {symbol: names[symbol] for symbol in known.amounts if symbol in names}


@rule("labelling.ecutwfc_ry", SSSP)
def wavefunction_cutoff_of_the_pseudopotentials(known: Known) -> tuple[float, str]:
    wavefunction, _, why = pseudopotentials.cutoffs_ry(
        _files(known), known["labelling.pseudo_dir"], known["labelling.protocol"]
    )
    return wavefunction, why


@rule("labelling.ecutrho_ry", SSSP)
def density_cutoff_of_the_pseudopotentials(known: Known) -> tuple[float, str]:
    files, folders = _files(known), known["labelling.pseudo_dir"]
    if not known.is_written("labelling.ecutwfc_ry"):
        _, density, why = pseudopotentials.cutoffs_ry(files, folders, known["labelling.protocol"])
        return density, why
    soft = pseudopotentials.all_norm_conserving(files, folders)
    factor, kind = (4, "norm-conserving") if soft else (8, "ultrasoft or PAW")
    return factor * float(known["labelling.ecutwfc_ry"]), f"{factor} x ecutwfc_ry: {kind}"


def is_metallic(known: Known) -> bool:
    """Whether nothing but a metal is meant: a gap cannot be met."""
    only_metals = set(known.classes) <= {"metal", "alloy"} or all(elements.is_metal(s) for s in known.amounts)
    return known.main_class in ("metal", "alloy") and only_metals


@rule("labelling.kspacing_per_angstrom", f"{PROTOCOLS}; {MESHES}")
def k_points_by_the_gap(known: Known) -> tuple[float, str]:
    protocol = known["labelling.protocol"]
    if is_metallic(known):
        return METAL_KSPACING[protocol], f"{protocol}: metal, the Fermi surface must be sampled"
    if known.main_class in ("molecular", "noble"):
        spacing, why = 0.5, "wide gap and flat bands; one point through vacuum"
    elif known.main_class == "ionic" and "metal" not in known.classes and not carriers(known):
        spacing, why = 0.3, "a gap: a coarser mesh than a metal's suffices"
    else:
        spacing, why = 0.2, "nearly as for a metal: its liquid, or some of its phases or moments, may have no gap"
    return round(GAP_SPACING_FACTOR[protocol] * spacing, 2), f"{protocol}: {why}"


@rule("labelling.smearing", COLD)
def cold_smearing_for_metals_alone(known: Known) -> tuple[str, str]:
    if is_metallic(known):
        return "cold", "Marzari-Vanderbilt: energies of a metal hardly depend on its width"
    return "gaussian", "cold smearing can settle on a wrong Fermi level where there is a gap"


@rule("labelling.degauss_ry", COLD)
def narrow_smearing_where_there_is_a_gap(known: Known) -> tuple[float, str]:
    if is_metallic(known):
        protocol = known["labelling.protocol"]
        return METAL_DEGAUSS_RY[protocol], f"{protocol}: metal, wide enough for its mesh of k-points"
    return 0.005, "narrow against a gap, wide enough for a melt; the same in all protocols"


@rule("labelling.conv_thr_ry_per_atom", PROTOCOLS)
def accuracy_of_the_density(known: Known) -> tuple[float, str]:
    protocol = known["labelling.protocol"]
    return CONV_THR_RY_PER_ATOM[protocol], f"{protocol}: forces to 0.1 meV/A where no density sloshes"
