"""Rules: what the material is. Composition, class, and the files it may come from."""

from __future__ import annotations

import re
from pathlib import Path

from mlip_autopipec.config import classify, composition, molecules, own_structures, spelling
from mlip_autopipec.config.own_data import files_of
from mlip_autopipec.config.rules import FOLLOWS, Known, rule
from mlip_autopipec.errors import ConfigError

CLASSES_FROM = "electronegativities (Pauling), radii (Shannon), charge balance: config/classify.py"


@rule("structure", FOLLOWS)
def structure_is_the_first_of_your_files(known: Known) -> tuple[str, str]:
    if not known["structures.alone"]:
        return "", "no file is named: the structure is searched for"
    files = files_of(known["structures.files"], "structures.files")
    return (files[0], "the first of your files, used alone") if files else ("", "")


@rule("composition", FOLLOWS)
def composition_of_the_molecule_or_structure(known: Known) -> tuple[str, str]:
    if known["molecule"]:
        return composition.formula(molecules.resolve(known["molecule"]).amounts), f"of {known['molecule']}"
    if known["structure"]:
        return composition.formula(amounts_of_structure(known["structure"])), f"of {known['structure']}"
    raise ConfigError(
        "composition", None, "this key is needed",
        "Write for example 'composition: Si', 'molecule: ethanol', 'structure: my.cif', or "
        "'training: {dataset: my_data.extxyz}' to train on labels of your own.",
    )  # fmt: skip


@rule("run", FOLLOWS)
def run_is_named_after_the_material(known: Known) -> tuple[str, str]:
    if not known["molecule"]:
        return _folder(spelling.unambiguous(known["composition"])), "results/<run>/ holds everything"
    named = molecules.resolve(known["molecule"], known.amounts)
    if named.file:
        return _folder(Path(named.file).stem), "the name of the molecule's file"
    if molecules.of_name(named.name):
        return _folder(named.name.lower()), "the molecule's name"
    return _folder(named.name.translate({ord("="): "-", ord("#"): "--"})), "the molecule's SMILES, in its case"


def _folder(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("._-") or "run"


@rule("class", CLASSES_FROM)
def class_by_weighted_evidence(known: Known) -> tuple[list[str], str]:
    if known["molecule"]:
        return ["molecular"], "a molecule is named"
    weights = classify.classify(known.amounts)
    said = ", ".join(f"{w.material_class} {w.weight:.2f}" for w in weights)
    return classify.classes(weights), f"{said}: {'; '.join(weights[0].reasons)}"


def amounts_of_structure(path: str) -> dict[str, float]:
    """Amounts of the elements in the first structure of a file, reduced to the smallest whole numbers.

    Raises:
        ConfigError: no such file, not readable, no cell, or sites that are occupied in part.
    """
    atoms = own_structures.first(path)
    if atoms.cell.rank < 3:
        raise ConfigError("structure", path, "has no cell of three vectors", "A molecule is given by 'molecule: file'.")
    for site in (atoms.info.get("occupancy") or {}).values():
        if len(site) > 1 or any(abs(share - 1) > 1e-3 for share in site.values()):
            raise ConfigError(
                "structure", path, f"a site is occupied in part ({_shares(site)}): which atom is where is not said",
                "Give an ordered cell, or write the composition and let quasirandom cells be made.",
            )  # fmt: skip
    counts = {symbol: float(number) for symbol, number in atoms.symbols.formula.count().items()}
    whole = composition.reduced_integers(counts, limit=10_000)
    return {s: float(n) for s, n in whole.items()} if whole else counts


def _shares(site: dict[str, float]) -> str:
    return ", ".join(f"{symbol} {share:g}" for symbol, share in site.items())


def check_material(known: Known) -> None:
    """What is written about the material must agree, and a molecule must be known.

    Raises:
        ConfigError: composition and molecule or structure differ, a formula that several molecules have, or two
            descriptions at once.
    """
    if known["structures.alone"] and not known["structures.files"]:
        raise ConfigError("structures.alone", True, "no files are named", "Write structures.files too.")
    if known["molecule"] and known["structure"]:
        raise ConfigError("structure", known["structure"], "a molecule is named too", "Write one of the two.")
    for key, amounts in _described(known):
        total = sum(amounts.values())
        described = {symbol: amount / total for symbol, amount in amounts.items()}
        written = known.fractions
        if set(described) != set(written) or any(abs(described[s] - written[s]) > 0.05 for s in written):
            raise ConfigError(
                "composition", known["composition"], f"{key} {known[key]!r} is {composition.formula(amounts)}",
                "Leave the composition out: it follows.",
            )  # fmt: skip
    if known.main_class == "molecular" and not known["molecule"] and "molecule" in known["structures.sources"]:
        try:
            molecules.molecule_of(known.amounts)
        except ConfigError as error:
            crystal = " For a crystal write class: with ionic or covalent." if not known.is_written("class") else ""
            raise ConfigError("composition", known["composition"], error.problem, error.mend + crystal) from None


def _described(known: Known) -> list[tuple[str, dict[str, float]]]:
    if known["molecule"]:
        return [("molecule", molecules.resolve(known["molecule"], known.amounts).amounts)]
    if known["structure"]:
        return [("structure", amounts_of_structure(known["structure"]))]
    return []
