"""Values that an engine other than Quantum ESPRESSO leaves without meaning, or wants otherwise."""

from __future__ import annotations

from typing import Any

from mlip_autopipec.config.choice import Choice
from mlip_autopipec.config.rules import FOLLOWS, INSTEAD, Known
from mlip_autopipec.errors import ConfigurationFault

RY_EV = 13.605693  # 1 Ry in eV, CODATA 2018
VASP_ENCUT_EV = 520.0
_VASP_PLANE_WAVES = "1.3 times the largest ENMAX of PBE data sets: Jain et al., Comput. Mater. Sci. 50, 2295 (2011)"
_VASP_SMEARING = "VASP's manual, ISMEAR and SIGMA"
# What the keys of DFT are worth where a calculator makes the labels: nothing may ask for files or cutoffs.
_OF_A_CALCULATOR: dict[str, Any] = {
    "pseudo_dir": [],
    "pseudopotentials": {},
    "ecutwfc_ry": None,
    "ecutrho_ry": None,
    "nspin": 1,
    "starting_magnetization": {},
    "magnetic_states": [],
}
# Keys that do nothing with an engine, whatever rule or user gave them; the start of a run does not show them.
WITHOUT_EFFECT: dict[str, frozenset[str]] = {
    "calculator": frozenset({*_OF_A_CALCULATOR, "kspacing_per_angstrom", "smearing", "degauss_ry"}),
    "vasp": frozenset({"pseudo_dir", "ecutrho_ry"}),
}


def value_of_the_engine(known: Known, key: str) -> Choice | None:
    """What stands in place of the value that the key's rule would give, or None."""
    section, _, name = key.partition(".")
    if section != "labelling":
        return None
    engine = known["labelling.engine"]
    found: tuple[Any, str, str] | None = None
    if engine == "calculator" and name in _OF_A_CALCULATOR:
        found = _OF_A_CALCULATOR[name], "of no meaning with the engine calculator", FOLLOWS
    elif engine == "vasp":
        found = _of_vasp(known, name)
    if found is None:
        return None
    value, why, source = found
    return Choice(value, value_of_the_engine.__name__, why, source)


def _of_vasp(known: Known, name: str) -> tuple[Any, str, str] | None:
    if name == "pseudo_dir":
        return [], "VASP's data sets lie in VASP_PP_PATH", FOLLOWS
    if name == "pseudopotentials":
        return {}, "ASE's table of recommended data sets", "VASP's manual, available pseudopotentials"
    if name == "pseudopotential_md5":
        from mlip_autopipec.labelling.vasp_input import checksums  # slow to import

        try:
            sums = checksums(
                known["labelling.pseudopotentials"], known["labelling.calculator_options"], list(known.amounts)
            )
        except ConfigurationFault:  # options that ASE does not take: said with their key before the first job
            sums = {}
        absent = [symbol for symbol in known.amounts if symbol not in sums]
        return sums, f"unknown without data sets: {', '.join(absent)}" if absent else "of the POTCAR files", FOLLOWS
    if name == "ecutwfc_ry":
        return round(VASP_ENCUT_EV / RY_EV, 3), f"{VASP_ENCUT_EV:g} eV", _VASP_PLANE_WAVES
    if name == "ecutrho_ry":
        return None, "VASP sets its own grid of the density (PREC = Accurate)", FOLLOWS
    if name == "magnetic_states":
        spin = known["labelling.nspin"] == 2
        return ["high"] if spin else [], "one starting state, parallel" if spin else "without spin", FOLLOWS
    metallic = set(known.classes) <= {"metal", "alloy"}
    if name == "smearing":
        kind = "methfessel-paxton" if metallic else "gaussian"
        return kind, "forces of metals" if metallic else "safe with and without a gap", _VASP_SMEARING
    if name == "degauss_ry":
        width_ev = 0.2 if metallic else 0.05
        return round(width_ev / RY_EV, 5), f"SIGMA = {width_ev:g} eV", _VASP_SMEARING
    return None


INSTEAD.append(value_of_the_engine)
