"""What a user should know before trusting the labels: limits of the method for this composition, in one line each."""

from __future__ import annotations

from shlex import quote

from mlip_autopipec.config import elements, magnetism
from mlip_autopipec.config.fetching import how_to_install, to_fetch
from mlip_autopipec.config.full import Config
from mlip_autopipec.config.label_source import LabelSource, label_source
from mlip_autopipec.config.pseudopotentials import functional_of, missing_pseudopotentials, unconverged_files
from mlip_autopipec.surrogates.known import SURROGATES

HEAVY_FROM = 72  # Hf: spin-orbit coupling moves energies by 10 meV/atom and more
# Elements with an SSSP pseudopotential that the surrogate was not trained on (MPtrj: Deng et al., Nat. Mach. Intell.
# 5, 1031 (2023)).
UNKNOWN_TO_SURROGATES = frozenset({"Po", "At", "Rn", "Fr", "Ra", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"})
# Structure types of sheets. Those of the second line are layered with large soft anions (CdI2, CdCl2, BiI3, GeS, BiOCl)
# and are not with oxygen and fluorine.
LAYERED = frozenset({"A9", "A17", "B_k", "C7", "C33", "B10"})
LAYERED_IF_SOFT = frozenset({"C6", "C19", "D0_5", "B16", "C7", "C33", "E0_1"})
SOFT_ANIONS = frozenset({"Cl", "Br", "I", "S", "Se", "Te"})


def cautions(config: Config) -> list[str]:
    """Limits of the labels that this configuration makes; nothing here stops a run."""
    source = label_source(config.labelling)
    if source.dft is not True or config.labelling.engine == "calculator":
        return _of_a_teacher(config, source)
    symbols, classes = set(config.elements), config.material_class
    functional = functional_of(config.labelling.pseudopotentials, config.labelling.pseudo_dir)
    found = []
    if config.labelling.engine == "vasp":
        found.append("the engine vasp was never run with a real VASP: look at the first labels yourself.")
    elif missing := missing_pseudopotentials(config):
        fetched = [symbol for symbols in to_fetch(config).values() for symbol in symbols]
        if len(fetched) == len(missing):
            found.append(
                "pseudopotentials are missing, and fetched before the first job where there is a network: "
                + "; ".join(missing)
                + f". By hand: python -m mlip_autopipec.labelling.espresso.pseudopotentials {quote(config.composition)}"
            )
        else:
            found.append(
                f"pseudopotentials are missing, and no label can be made: {'; '.join(missing)}. "
                f"{how_to_install(config)}."
            )
    found += _unknown_to_the_surrogate(config)
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
            "tested cutoffs, and labels are no better than theirs. SSSP's own files are fetched with: python -m "
            f"mlip_autopipec.labelling.espresso.pseudopotentials {quote(config.composition)}"
        )
    if config.labelling.nspin == 2:
        carriers = ", ".join(config.labelling.starting_magnetization) or "all elements"
        found.append(
            f"magnetic order: a frame's label is the lowest of the states that the moments of {carriers} start from "
            f"({', '.join(config.labelling.magnetic_states) or 'high'}; antiferro is the plainest antiferromagnet). "
            "Longer periods, canted moments and a paramagnet's disorder are not tried, and the potential knows "
            "positions only, not spins: it is the ground state's, not that of disordered moments above Tc."
        )
    if functional != "PBE":
        found.append(f"labels are made with {functional}: cells are not PBE's.")
    return found


def _of_a_teacher(config: Config, source: LabelSource) -> list[str]:
    found = [f"{source.words.removesuffix('.')}: the potential is at best as right as they are."]
    if config.labelling.calculator == config.exploration.surrogate:
        found.append(
            f"{source.name} explores and labels: that its holes and errors are found out is not to be hoped for."
        )
    if source.dft is False:
        found.append(
            "energies of isolated atoms are the teacher's, too, which may never have seen one: cohesive energies "
            "are no better than that."
        )
    return found + _unknown_to_the_surrogate(config)


def _unknown_to_the_surrogate(config: Config) -> list[str]:
    unknown = [s for s in config.elements if s in UNKNOWN_TO_SURROGATES]
    if not unknown or config.exploration.surrogate not in SURROGATES:
        return []
    return [f"the surrogate {config.exploration.surrogate} does not know {', '.join(unknown)}: nothing can run."]
