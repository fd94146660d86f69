"""What a user should know before trusting the labels: limits of the method for this composition, in one line each."""

from __future__ import annotations

from mlip_autopipec.config import elements, magnetism
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.pseudopotentials import functional_of, missing_pseudopotentials, unconverged_files

HEAVY_FROM = 72  # Hf: spin-orbit coupling moves energies by 10 meV/atom and more
# Elements with an SSSP pseudopotential that the surrogate was not trained on (MPtrj: Deng et al., Nat. Mach. Intell.
# 5, 1031 (2023)).
UNKNOWN_TO_SEVENNET = frozenset({"Po", "At", "Rn", "Fr", "Ra", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"})
# Structure types of sheets. Those of the second line are layered with large soft anions (CdI2, CdCl2, BiI3, GeS, BiOCl)
# and are not with oxygen and fluorine.
LAYERED = frozenset({"A9", "A17", "B_k", "C7", "C33", "B10"})
LAYERED_IF_SOFT = frozenset({"C6", "C19", "D0_5", "B16", "C7", "C33", "E0_1"})
SOFT_ANIONS = frozenset({"Cl", "Br", "I", "S", "Se", "Te"})


def cautions(config: Config) -> list[str]:
    """Limits of the labels that this configuration makes; nothing here stops a run."""
    symbols, classes = set(config.elements), config.material_class
    functional = functional_of(config.labelling.pseudopotentials, config.labelling.pseudo_dir)
    found = []
    if missing := missing_pseudopotentials(config):
        found.append(
            "pseudopotentials are missing, and no label can be made: " + "; ".join(missing) + ". Put the files into "
            f"one of {', '.join(config.labelling.pseudo_dir)}, or name others in labelling.pseudopotentials."
        )
    unknown = [s for s in config.elements if s in UNKNOWN_TO_SEVENNET]
    if unknown and config.exploration.surrogate == "sevennet-0":
        found.append(
            f"the surrogate {config.exploration.surrogate} does not know {', '.join(unknown)}: nothing can run."
        )
    f_shell = sorted(symbols & ((elements.LANTHANIDES | elements.ACTINIDES) - {"La", "Lu", "Ac", "Lr"}))
    if f_shell:
        found.append(
            f"{', '.join(f_shell)} with f electrons: {functional} puts them at wrong energies, several "
            "self-consistent solutions exist, and neither +U nor spin-orbit coupling is applied."
        )
    heavy = sorted(s for s in symbols - set(f_shell) if elements.SYMBOLS.index(s) + 1 >= HEAVY_FROM)
    if heavy:
        found.append(f"{', '.join(heavy)} is heavy: labels are without spin-orbit coupling.")
    # Anisimov et al., Phys. Rev. B 44, 943 (1991).
    correlated = sorted(s for s in symbols if magnetism.is_correlated(s, config.amounts))
    if correlated:
        found.append(
            f"{', '.join(correlated)} in an oxide, halide or sulfide: {functional} without +U underestimates gaps "
            "and moments, and may call an insulator a metal."
        )
    types = set(config.structures.prototypes)
    if "molecular" in classes or "noble" in classes or set(config.structures.prototypes[:1]) & LAYERED:
        found.append(f"forces between molecules, atoms or layers are dispersion, which {functional} does not have.")
    elif symbols & SOFT_ANIONS and types & LAYERED_IF_SOFT:
        sheets = ", ".join(name for name in config.structures.prototypes if name in LAYERED_IF_SOFT)
        found.append(
            f"if its crystal is layered, as the structure types {sheets} are, its layers are held by dispersion, which "
            f"{functional} does not have."
        )
    if "molecular" in classes and "H" in symbols and symbols & {"O", "N", "F"}:
        found.append("hydrogen bonds: semilocal functionals overstructure the liquid, and nuclei are classical.")
    if config.labelling.nspin == 1 and config.structures.counts.get("stretches", 0) > 0:
        found.append(
            "molecules are labelled without spin: stretched bonds end at 1.5 times their length, where a closed shell "
            "still holds; broken bonds, radicals and dissociation energies are not described."
        )
    if config.structures.sources == ["random"]:
        found.append(
            "no structure type of this formula is known here: the reference is the lowest of a few random crystals, "
            "and may not be the ground state. 'structure: my.cif' is better where you know it."
        )
    if own := unconverged_files(config.labelling.pseudopotentials, config.labelling.pseudo_dir):
        found.append(
            f"cutoffs may not be converged: {', '.join(own)} {'is' if len(own) == 1 else 'are'} not of SSSP's table of "
            "tested cutoffs, and labels are no better than theirs."
        )
    if config.labelling.nspin == 2:
        carriers = ", ".join(config.labelling.starting_magnetization) or "all elements"
        found.append(
            f"magnetic order: the moments of {carriers} start high and all parallel; an antiferromagnet or a "
            "paramagnet needs moments of your own, and the potential knows positions only, not spins."
        )
    if functional != "PBE":
        found.append(f"labels are made with {functional}: cells are not PBE's.")
    return found
