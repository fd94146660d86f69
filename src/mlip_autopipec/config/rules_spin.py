"""Rules: spin. Which elements carry moments, where they start, and which starting states are tried."""

from __future__ import annotations

from mlip_autopipec.config import magnetism, molecules, pseudopotentials
from mlip_autopipec.config.rules import Known, rule
from mlip_autopipec.errors import ConfigError

HUND = "high-spin moments: Ashcroft and Mermin, ch. 31; manual of pw.x"
STATES = "orders of 3d metals and their compounds: Kuebler, Theory of Itinerant Electron Magnetism; measured here"


def carriers(known: Known) -> list[str]:
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


@rule("labelling.nspin", HUND)
def spin_where_shells_are_open(known: Known) -> tuple[int, str]:
    if known.written("labelling.starting_magnetization"):
        return 2, "starting moments are written"
    found = carriers(known)
    if found:
        if known.main_class == "molecular" and magnetism.is_radical(_of_one_molecule(known)):
            return 2, "an odd number of electrons: one is unpaired"
        return 2, f"{', '.join(found)} may carry moments; collinear"
    return 1, "no element of it has a moment, by the element, the charges of the ions or the number of electrons"


@rule("labelling.starting_magnetization", HUND, completes=True)
def moments_start_high(known: Known) -> tuple[dict[str, float], str]:
    for symbol, value in known.written("labelling.starting_magnetization").items():
        if known["labelling.engine"] != "vasp" and not -1 < value < 1:
            raise ConfigError(
                f"labelling.starting_magnetization.{symbol}", value, "not between -1 and 1",
                "Write it as a fraction of the valence electrons: Fe has 16 in SSSP, so 0.25 is 4 Bohr magnetons.",
            )  # fmt: skip
    if known["labelling.nspin"] == 1:
        return {}, "without spin"
    if known["labelling.engine"] == "vasp":
        moments = {symbol: magnetism.starting_moment(symbol, known.amounts) for symbol in carriers(known)}
        return moments, "Bohr magnetons, parallel"
    names, folders = known["labelling.pseudopotentials"], known["labelling.pseudo_dir"]
    found, told = {}, []
    for symbol in carriers(known):
        valence = pseudopotentials.valence_electrons(symbol, names.get(symbol, ""), folders)
        valence = valence or magnetism.nominal_valence_electrons(symbol, names.get(symbol, "")) or 16.0
        moment = magnetism.starting_moment(symbol, known.amounts)
        found[symbol] = magnetism.starting_fraction(moment, valence)
        told.append(f"{symbol} {found[symbol] * valence:.1f} of {valence:g} electrons")
    if not found:
        return {}, "no element of it has a moment by the rules: write the moments that you mean"
    return found, f"{', '.join(told)}; magnetic_states says how they stand to each other"


@rule("labelling.magnetic_states", STATES)
def several_starts_where_there_are_moments(known: Known) -> tuple[list[str], str]:
    if known["labelling.nspin"] == 1:
        return [], "without spin"
    moments = known["labelling.starting_magnetization"]
    states, why = magnetism.starting_states(moments, known.amounts)
    return states, f"{why}; each is a run of every frame with moments, and the lowest is kept"
