"""Potentials as `.yaml` (B-basis form): every function with its coefficient, enough for gamma and for retraining."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_autopipec.ace import filetext as ft
from mlip_autopipec.ace.basis import Basis, Function, check_elements, evaluator_order
from mlip_autopipec.ace.coupling import MAX_RANK, intermediate_momenta
from mlip_autopipec.ace.embedding import LINEAR, Embedding
from mlip_autopipec.ace.potential import ACEPotential
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError


def write_yaml(path: str | os.PathLike[str], potential: ACEPotential) -> None:
    """Write the B-basis form, whole or not at all; LAMMPS `pair_style pace/extrapolation` reads it.

    Energies are relative to the references that were subtracted before training (the format has no E0).
    """
    basis = potential.basis
    lines = [f"# ACE, B-basis form; functions: {basis.number_of_functions}"]
    lines += ft.metadata_lines(potential.metadata)
    lines += ["global:", f"  DeltaSplineBins: {ft.number(basis.spline_step)}", "species:"]
    blocks: dict[tuple[int, ...], list[str]] = {}
    for mu in range(len(basis.elements)):
        blocks[mu,] = []
        for other in range(len(basis.elements)):
            if other != mu:
                blocks[mu, other] = []
        for function, coefficients in zip(basis.functions[mu], potential.densities(mu), strict=True):
            key = (mu, *sorted(set(function.mus) - {mu}))
            blocks.setdefault(key, []).append(_function_line(basis, mu, function, coefficients))
    for key, functions in sorted(blocks.items(), key=lambda item: (len(item[0]), item[0])):
        lines.append(f"  - speciesblock: {ft.quoted(' '.join(basis.elements[k] for k in key))}")
        if len(key) == 1:
            embedding = potential.embeddings[key[0]]
            lines += [f"    ndensityi: {embedding.densities}", f"    npoti: {embedding.name}"]
            lines += [f"    parameters: {ft.numbers(embedding.parameters)}"]
            lines += [f"    rho_core_cut: {ft.number(embedding.core_cut)}"]
            lines += [f"    drho_core_cut: {ft.number(embedding.core_width)}"]
        if len(key) < 3:
            lines += [f"    {line}" for line in _bond_lines(basis.bonds[key[0], key[-1]])]
        lines += ["    nbody:", *functions] if functions else ["    nbody: []"]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _function_line(basis: Basis, mu: int, function: Function, coefficients: NDArray[np.float64]) -> str:
    kind = " ".join(basis.elements[k] for k in (mu, *function.mus))
    lint = f", lint: {ft.integers(function.lint)}" if function.rank > 2 else ""
    numbers = f"nr: {ft.integers(function.ns)}, nl: {ft.integers(function.ls)}{lint}"
    return f"      - {{type: {ft.quoted(kind)}, {numbers}, c: {ft.numbers(coefficients)}}}"


def _bond_lines(bond: Bond) -> list[str]:
    return [
        f"nradmaxi: {bond.nradmax}",
        f"lmaxi: {bond.lmax}",
        f"rcutij: {ft.number(bond.cutoff)}",
        f"dcutij: {ft.number(bond.width)}",
        "NameOfCutoffFunctionij: cos",
        f"r_in: {ft.number(bond.inner[0])}",
        f"delta_in: {ft.number(bond.inner[1])}",
        f"inner_cutoff_type: {bond.inner_kind}",
        f"core-repulsion: {ft.numbers(bond.repulsion)}",
        f"nradbaseij: {bond.count}",
        f"radbase: {bond.family}",
        f"radparameters: {ft.numbers(bond.parameters)}",
        f"radcoefficients: {ft.numbers(bond.coefficients)}",
    ]


def read_yaml(path: str | os.PathLike[str]) -> ACEPotential:
    """Read a potential in the B-basis form; functions that are marked `skip` are left out, as evaluators do.

    Raises:
        InputFileError: missing, truncated or damaged file, unknown embedding or radial functions.
    """
    data, promised = ft.load_yaml(path)
    blocks = ft.field(data, "species", path, "the file")
    if not isinstance(blocks, list) or not blocks:
        raise InputFileError(path, "'species' is not a list of blocks", ft.MEND)
    names = [tuple(str(ft.field(block, "speciesblock", path, "a species block")).split()) for block in blocks]
    elements = tuple(sorted({name for block in names for name in block}))
    try:
        check_elements(elements)
    except DataError as error:
        raise InputFileError(path, str(error), ft.MEND) from None
    index = {element: k for k, element in enumerate(elements)}
    bonds: dict[tuple[int, int], Bond] = {}
    embeddings: dict[int, Embedding] = {}
    found: list[list[tuple[Function, list[float]]]] = [[] for _ in elements]
    skipped = 0
    for name, block in zip(names, blocks, strict=True):
        where = f"species block '{' '.join(name)}'"
        if len(name) == 1:
            embeddings[index[name[0]]] = ft.make_embedding(
                path, where,
                density=block.get("ndensityi"), name=block.get("npoti"), parameters=block.get("parameters"),
                core_cut=block.get("rho_core_cut", LINEAR.core_cut),
                core_width=block.get("drho_core_cut", LINEAR.core_width),
            )  # fmt: skip
        if 0 < len(name) < 3:
            bonds[index[name[0]], index[name[-1]]] = _read_bond(path, where, block)
        for entry in block.get("nbody") or []:
            if isinstance(entry, dict) and str(entry.get("skip", "false")).lower() in ("true", "1", "yes"):
                skipped += 1
                continue
            found[index[name[0]]].append(_read_function(path, where, entry, name, index))
    _complete_bonds(path, elements, bonds)
    if len(embeddings) != len(elements):
        lacking = next(e for k, e in enumerate(elements) if k not in embeddings)
        raise InputFileError(path, f"no species block '{lacking}'", ft.MEND)
    total = skipped + sum(len(functions) for functions in found)
    if promised is not None and promised != total:
        raise InputFileError(path, f"holds {total} of {promised} functions: it is cut off", ft.MEND)
    _check_quantum_numbers(path, found, bonds)
    for functions in found:
        functions.sort(key=lambda item: evaluator_order(item[0]))
    step = float(ft.real((data.get("global") or {}).get("DeltaSplineBins", 0.001), path, "DeltaSplineBins"))
    if not 0 < step < 1:
        raise InputFileError(path, f"DeltaSplineBins = {step} Angstrom", "Use 0.001.")
    try:
        basis = Basis(elements, bonds, tuple(tuple(f for f, _ in functions) for functions in found), step)
    except DataError as error:
        raise InputFileError(path, str(error), ft.MEND) from None
    ordered = tuple(embeddings[mu] for mu in range(len(elements)))
    coefficients = np.zeros((basis.number_of_functions, max(e.densities for e in ordered)))
    for mu, functions in enumerate(found):
        if any(len(values) != ordered[mu].densities for _, values in functions):
            raise InputFileError(
                path, f"a function of {elements[mu]} has not {ordered[mu].densities} coefficients", ft.MEND
            )
        if functions:
            coefficients[basis.columns(mu), : ordered[mu].densities] = [values for _, values in functions]
    if coefficients.shape[1] == 1:
        coefficients = coefficients[:, 0]
    return ACEPotential(basis, coefficients, ft.read_metadata(data), ordered)


def _read_bond(path: object, where: str, block: dict[Any, Any]) -> Bond:
    return ft.make_bond(
        path, where, ft.field(block, "radcoefficients", path, where),
        cutoff=ft.field(block, "rcutij", path, where),
        count=ft.field(block, "nradbaseij", path, where),
        family=ft.field(block, "radbase", path, where),
        parameters=block.get("radparameters", []),
        width=block.get("dcutij", 0.0),
        repulsion=block.get("core-repulsion", [0.0, 0.0]),
        inner=(block.get("r_in", 0.0), block.get("delta_in", 0.0)),
        inner_kind=block.get("inner_cutoff_type", "density"),
    )  # fmt: skip


def _read_function(
    path: object, where: str, entry: Any, name: tuple[str, ...], index: dict[str, int]
) -> tuple[Function, list[float]]:
    kind = str(ft.field(entry, "type", path, where)).split()
    ns = ft.whole(ft.field(entry, "nr", path, where), path, where)
    ls = ft.whole(ft.field(entry, "nl", path, where), path, where)
    rank = len(ns)
    lint = ft.whole(entry.get("lint", []), path, where) if rank > 2 else ()
    if len(kind) != rank + 1 or len(ls) != rank or kind[0] != name[0] or not set(kind) <= set(name):
        raise InputFileError(path, f"{where}: function {entry!r} does not fit its block", ft.MEND)
    if rank > MAX_RANK or min(ls) < 0 or lint not in intermediate_momenta(ls):
        raise InputFileError(path, f"{where}: function {entry!r} has momenta that cannot couple to a scalar", ft.MEND)
    coefficients = ft.real(ft.field(entry, "c", path, where), path, where).ravel().tolist()
    return Function(tuple(index[k] for k in kind[1:]), ns, ls, lint), coefficients


def _complete_bonds(path: object, elements: tuple[str, ...], bonds: dict[tuple[int, int], Bond]) -> None:
    for i, a in enumerate(elements):
        for j, b in enumerate(elements):
            if (i, j) not in bonds:
                if (j, i) not in bonds:
                    raise InputFileError(path, f"no species block '{a if i == j else f'{a} {b}'}'", ft.MEND)
                bonds[i, j] = bonds[j, i]


def _check_quantum_numbers(
    path: object, found: list[list[tuple[Function, list[float]]]], bonds: dict[tuple[int, int], Bond]
) -> None:
    for mu, functions in enumerate(found):
        for f, _ in functions:
            for other, n, l in zip(f.mus, f.ns, f.ls, strict=True):
                bond = bonds[mu, other]
                if not 1 <= n <= (bond.count if f.rank == 1 else bond.nradmax) or l > bond.lmax:
                    problem = f"function nr {list(f.ns)}, nl {list(f.ls)} exceeds its radial functions"
                    raise InputFileError(path, problem, ft.MEND)
