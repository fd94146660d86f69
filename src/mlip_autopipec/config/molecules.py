"""Which molecule is meant: by a common name, a SMILES, a file, or a formula that has just one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlip_autopipec.config import own_structures
from mlip_autopipec.config.elements import DIATOMIC
from mlip_autopipec.config.formulas import FormulaFault, formula, read, same_ratio, tidy, total
from mlip_autopipec.errors import ConfigError, nearest

# Elements whose solid is made of molecules: these, not single atoms, are meant by the element's symbol.
_OF_ELEMENTS = {**dict.fromkeys(DIATOMIC, 2), "S": 8, "P": 4}
_ASK = "Write molecule: with a name (ethanol), a SMILES (CCO) or a file (my.xyz)."
_HOW = "Write a common name (ethanol), a SMILES (CCO) or a file that ASE reads (my.xyz)."
_GAP_ANGSTROM = 3.0  # above contacts of hydrogen atoms (2.4 A, Bondi 1964)


@dataclass(frozen=True)
class Named:
    """One molecule.

    Attributes:
        name: common name, or the SMILES or file name.
        amounts: atoms of each element.
        smiles: its SMILES; '' for a file.
        file: path of its file; ''.
    """

    name: str
    amounts: dict[str, float]
    smiles: str = ""
    file: str = ""


@cache
def _table() -> tuple[tuple[Named, tuple[str, ...]], ...]:
    """Molecules with the keys that they are found by."""
    rows: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "molecules.json").read_text("utf-8"))
    return tuple(
        (
            Named(row["name"], total(read(row["formula"])), row["smiles"]),
            tuple(_key(name) for name in (row["name"], *row.get("aliases", []))),
        )
        for row in rows
    )


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def of_name(text: str) -> Named | None:
    """The molecule with this common name (case, blanks and hyphens do not matter), or None."""
    return next((named for named, keys in _table() if _key(text) in keys), None)


def molecule_of(amounts: Mapping[str, float]) -> Named:
    """The one molecule of a formula; H, N, O, F, Cl, Br, I stand for the diatomic, S for S8, P for P4.

    Raises:
        ConfigError: several molecules have this formula, or none is known.
    """
    return _only(of_formula(amounts), amounts, None)


def of_formula(amounts: Mapping[str, float]) -> list[Named]:
    """The molecules of the table that a formula may stand for."""
    if len(amounts) == 1 and (symbol := next(iter(amounts))) in _OF_ELEMENTS and amounts[symbol] == 1:
        amounts = {symbol: float(_OF_ELEMENTS[symbol])}
    return [named for named, _ in _table() if named.amounts == dict(amounts)]


def _only(found: list[Named], amounts: Mapping[str, float], text: object) -> Named:
    if len(found) > 1:
        names = ", ".join(named.name for named in found)
        raise ConfigError("molecule", text, f"{formula(amounts)} is the formula of several molecules: {names}", _ASK)
    if not found:
        alike = [f"{formula(n.amounts)} ({n.name})" for n, _ in _table() if same_ratio(n.amounts, amounts)]
        hint = f" The same ratio: {', '.join(alike[:4])}." if alike else ""
        raise ConfigError("molecule", text, f"no molecule of the formula {formula(amounts)} is known here", _ASK + hint)
    return found[0]


def resolve(text: object, amounts: Mapping[str, float] | None = None) -> Named:
    """The molecule that the config key `molecule` means.

    Args:
        text: a common name, a SMILES, a formula that has one molecule, or a file that ASE reads.
        amounts: what the key `composition` says, if it is written; it decides between the formula CO (carbon
            monoxide) and the SMILES CO (methanol), and must have the molecule's ratio of elements.

    Raises:
        ConfigError: nothing or several things fit, the file is missing, or the composition is another one.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("molecule", text, "names no molecule", _HOW)
    word = tidy(text)
    named = of_name(word)
    if named is None and _is_file(word):
        named = _of_file(word)
    readings = [named] if named else _readings(word)
    if not readings:
        known = {named.name for named, _ in _table()}
        raise ConfigError("molecule", text, "neither a known name nor a SMILES", _HOW + nearest(word.lower(), known))
    fitting = [r for r in readings if amounts is None or same_ratio(r.amounts, amounts)]
    if not fitting:
        raise ConfigError(
            "molecule", text, f"it is {formula(readings[0].amounts)}, but composition is {formula(amounts or {})}",
            "Write one of the two, or the same in both.",
        )  # fmt: skip
    if len(fitting) > 1:
        raise ConfigError(
            "molecule", text, "this may be " + " or ".join(f"{r.name} ({formula(r.amounts)})" for r in fitting),
            "It is a formula and a SMILES: write the name, or composition too.",
        )  # fmt: skip
    return fitting[0]


def _readings(word: str) -> list[Named]:
    """What the word means as a formula and as a SMILES, each once."""
    smiles = _of_smiles(word)
    try:
        amounts = total(read(word))
    except FormulaFault:
        amounts = {}
    found = of_formula(amounts)
    if smiles is None and (found or len(amounts) > 1):
        return [_only(found, amounts, word)]
    return found + ([smiles] if smiles and smiles not in found else [])


def _of_smiles(word: str) -> Named | None:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # its complaints on stderr would be a second message for the same fault
        molecule = Chem.MolFromSmiles(word)
        if molecule is None or not molecule.GetNumAtoms():
            return None
        atoms = [atom.GetSymbol() for atom in Chem.AddHs(molecule).GetAtoms()]
        pieces, charge = len(Chem.GetMolFrags(molecule)), Chem.GetFormalCharge(molecule)
        canonical = Chem.MolToSmiles(molecule)
    if "*" in atoms:
        return None
    if pieces > 1 or charge:
        problem = f"{pieces} separate pieces" if pieces > 1 else f"an ion of charge {charge:+d}"
        raise ConfigError("molecule", word, problem, "Write one neutral molecule; for a salt write composition.")
    amounts = total([(symbol, 1.0) for symbol in sorted(atoms)])
    return next((n for n in of_formula(amounts) if Chem.CanonSmiles(n.smiles) == canonical), Named(word, amounts, word))


def _is_file(word: str) -> bool:
    return Path(word).is_file() or Path(word).suffix in (".xyz", ".extxyz", ".cif", ".mol", ".sdf", ".pdb", ".vasp")


def _of_file(word: str) -> Named:
    if not Path(word).is_file():
        raise ConfigError("molecule", word, "no such file", "Write a path relative to where snakemake runs.")
    from ase.io import read as read_atoms

    try:
        atoms: Any = read_atoms(word, index=0)
    except Exception as error:
        problem = f"ASE cannot read this file: {own_structures.reason(word, error)}"
        raise ConfigError("molecule", word, problem, "Give an .xyz, .mol, .sdf or .cif file.") from None
    symbols = list(atoms.get_chemical_symbols())
    if not symbols:
        raise ConfigError("molecule", word, "the file holds no atoms", _HOW)
    if not _stands_alone(atoms):
        raise ConfigError(
            "molecule", word, f"a crystal: less than {_GAP_ANGSTROM:g} A lie between the atoms and their images",
            "Write it as 'structure', or give one molecule (with empty space around it, or without a cell).",
        )  # fmt: skip
    return Named(word, total([(symbol, 1.0) for symbol in symbols]), file=word)


def _stands_alone(atoms: Any) -> bool:
    """Whether empty space lies between the atoms and their periodic images, along every axis that is periodic."""
    normals = atoms.cell.reciprocal().lengths()  # 1 / distance of the lattice planes
    for axis in range(3):
        if atoms.pbc[axis] and normals[axis] > 0:
            along = sorted(atoms.get_scaled_positions()[:, axis] % 1.0)
            gaps = [b - a for a, b in pairwise([*along, along[0] + 1.0])]
            if max(gaps) / normals[axis] < _GAP_ANGSTROM:
                return False
    return True
