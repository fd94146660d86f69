"""What a user should know before trusting the labels: limits of the method for this composition, in one line each."""

from __future__ import annotations

from mlip_autopipec.config import elements
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.pseudopotentials import functional_of, missing_pseudopotentials

# Partly filled 3d shells whose oxides and halides semilocal functionals get wrong (Anisimov et al. 1991; Materials
# Project applies U to them too). Ti and Zn are left out: d0 and d10.
CORRELATED_3D = frozenset({"V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"})
HEAVY_FROM = 72  # Hf: spin-orbit coupling moves energies by 10 meV/atom and more
# Elements with an SSSP pseudopotential that the surrogate was not trained on (MPtrj: Deng et al., Nat. Mach. Intell.
# 5, 1031 (2023)).
UNKNOWN_TO_SEVENNET = frozenset({"Po", "At", "Rn", "Fr", "Ra", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"})
LAYERED = frozenset({"A9", "A17", "B_k", "C7", "C33"})  # structure types of sheets: graphite, MoS2, Bi2Te3, ...


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
    correlated = sorted(symbols & CORRELATED_3D)
    if correlated and symbols & {"O", "F", "Cl", "Br", "I", "S"}:
        found.append(
            f"{', '.join(correlated)} in an oxide, halide or sulfide: {functional} without +U underestimates gaps "
            "and moments, and may call an insulator a metal."
        )
    if "molecular" in classes or "noble" in classes or set(config.structures.prototypes[:1]) & LAYERED:
        found.append(f"forces between molecules, atoms or layers are dispersion, which {functional} does not have.")
    if "molecular" in classes and "H" in symbols and symbols & {"O", "N", "F"}:
        found.append("hydrogen bonds: semilocal functionals overstructure the liquid, and nuclei are classical.")
    if config.labelling.nspin == 2:
        carriers = ", ".join(config.labelling.starting_magnetization) or "all elements"
        found.append(
            f"magnetic order: the moments of {carriers} start as written above; an antiferromagnet or a paramagnet "
            "needs moments of your own, and the potential knows positions only, not spins."
        )
    if functional != "PBE":
        found.append(f"labels are made with {functional}: cells are not PBE's.")
    return found
