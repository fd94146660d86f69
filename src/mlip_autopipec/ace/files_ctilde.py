"""Potentials as `.yace` (C-tilde form): couplings multiplied in, for plain evaluation by LAMMPS `pair_style pace`."""

from __future__ import annotations

import os
from typing import Any

from mlip_autopipec.ace import filetext as ft
from mlip_autopipec.ace.basis import check_elements
from mlip_autopipec.ace.embedding import LINEAR, Embedding
from mlip_autopipec.ace.potential import ACEPotential, Contracted, CTildePotential
from mlip_autopipec.ace.radial import Bond
from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import DataError, InputFileError


def write_yace(path: str | os.PathLike[str], potential: ACEPotential | CTildePotential) -> None:
    """Write the contracted form, whole or not at all; E0 is 0 unless such a potential was read."""
    flat = potential.contracted() if isinstance(potential, ACEPotential) else potential
    total = sum(len(functions) for functions in flat.functions)
    species = range(len(flat.elements))
    lines = [f"# ACE, C-tilde form; functions: {total}", *ft.metadata_lines(flat.metadata)]
    lines.append(f"elements: [{', '.join(ft.quoted(e) for e in flat.elements)}]")
    lines.append(f"E0: {ft.numbers(flat.constants)}")
    lines += [f"deltaSplineBins: {ft.number(flat.spline_step)}", "embeddings:"]
    lines += [
        f"  {mu}: {{ndensity: {e.densities}, FS_parameters: {ft.numbers(e.parameters)}, npoti: {e.name}, "
        f"rho_core_cutoff: {ft.number(e.core_cut)}, drho_core_cutoff: {ft.number(e.core_width)}}}"
        for mu, e in enumerate(flat.embeddings)
    ]
    lines += ["bonds:", *(f"  [{i}, {j}]: {_bond_text(flat.bonds[i, j])}" for i in species for j in species)]
    lines.append("functions:")
    for mu in species:
        lines.append(f"  {mu}:" if flat.functions[mu] else f"  {mu}: []")
        count = flat.embeddings[mu].densities
        lines += [f"    - {_function_text(mu, function, count)}" for function in flat.functions[mu]]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _bond_text(bond: Bond) -> str:
    return (
        f"{{nradmax: {bond.nradmax}, lmax: {bond.lmax}, nradbasemax: {bond.count}, radbasename: {bond.family}, "
        f"radparameters: {ft.numbers(bond.parameters)}, radcoefficients: {ft.numbers(bond.coefficients)}, "
        f"prehc: {ft.number(bond.repulsion[0])}, lambdahc: {ft.number(bond.repulsion[1])}, "
        f"rcut: {ft.number(bond.cutoff)}, dcut: {ft.number(bond.width)}, rcut_in: {ft.number(bond.inner[0])}, "
        f"dcut_in: {ft.number(bond.inner[1])}, inner_cutoff_type: {bond.inner_kind}}}"
    )


def _function_text(mu: int, function: Contracted, count: int) -> str:
    mus, ns, ls, terms = function
    flat = [m for ms in terms for m in ms]
    return (
        f"{{mu0: {mu}, rank: {len(ns)}, ndensity: {count}, num_ms_combs: {len(terms)}, mus: {ft.integers(mus)}, "
        f"ns: {ft.integers(ns)}, ls: {ft.integers(ls)}, ms_combs: {ft.integers(flat)}, "
        f"ctildes: {ft.numbers([c for values in terms.values() for c in values])}}}"
    )


def read_yace(path: str | os.PathLike[str]) -> CTildePotential:
    """Read a potential in the contracted form; it cannot give gamma.

    Raises:
        InputFileError: missing, truncated or damaged file, unknown embedding or radial functions.
    """
    data, promised = ft.load_yaml(path)
    names = ft.field(data, "elements", path, "the file")
    elements = tuple(str(e) for e in names) if isinstance(names, list) else ()
    try:
        check_elements(elements)
    except DataError as error:
        raise InputFileError(path, str(error), ft.MEND) from None
    constants = tuple(ft.real(data.get("E0", [0.0] * len(elements)), path, "E0").ravel().tolist())
    if len(constants) != len(elements):
        raise InputFileError(path, f"E0 = {list(constants)} eV for {len(elements)} elements", ft.MEND)
    species = range(len(elements))
    listed = ft.field(data, "embeddings", path, "the file")
    embeddings = tuple(
        _read_embedding(path, f"embedding of {elements[mu]}", ft.field(listed, mu, path, "embeddings"))
        for mu in species
    )
    table = ft.field(data, "bonds", path, "the file")
    bonds = {
        (i, j): _read_bond(path, f"bond [{i}, {j}]", ft.field(table, (i, j), path, "bonds"))
        for i in species
        for j in species
    }
    listed = ft.field(data, "functions", path, "the file")
    functions = tuple(
        tuple(
            _read_function(path, mu, entry, bonds, embeddings[mu].densities)
            for entry in ft.field(listed, mu, path, "functions") or []
        )
        for mu in species
    )
    total = sum(len(block) for block in functions)
    if promised is not None and promised != total:
        raise InputFileError(path, f"holds {total} of {promised} functions: it is cut off", ft.MEND)
    step = float(ft.real(data.get("deltaSplineBins", 0.001), path, "deltaSplineBins"))
    if not 0 < step < 1:
        raise InputFileError(path, f"deltaSplineBins = {step} Angstrom", "Use 0.001.")
    try:
        return CTildePotential(elements, bonds, functions, step, ft.read_metadata(data), embeddings, constants)
    except DataError as error:
        raise InputFileError(path, str(error), ft.MEND) from None


def _read_embedding(path: object, where: str, block: Any) -> Embedding:
    return ft.make_embedding(
        path, where,
        density=ft.field(block, "ndensity", path, where),
        name=ft.field(block, "npoti", path, where),
        parameters=ft.field(block, "FS_parameters", path, where),
        core_cut=block.get("rho_core_cutoff", LINEAR.core_cut),
        core_width=block.get("drho_core_cutoff", LINEAR.core_width),
    )  # fmt: skip


def _read_bond(path: object, where: str, block: Any) -> Bond:
    return ft.make_bond(
        path, where, ft.field(block, "radcoefficients", path, where),
        cutoff=ft.field(block, "rcut", path, where),
        count=ft.field(block, "nradbasemax", path, where),
        family=ft.field(block, "radbasename", path, where),
        parameters=block.get("radparameters", []),
        width=block.get("dcut", 0.0),
        repulsion=(block.get("prehc", 0.0), block.get("lambdahc", 0.0)),
        inner=(block.get("rcut_in", 0.0), block.get("dcut_in", 0.0)),
        inner_kind=block.get("inner_cutoff_type", "density"),
    )  # fmt: skip


def _read_function(path: object, mu: int, entry: Any, bonds: dict[tuple[int, int], Bond], densities: int) -> Contracted:
    where = f"a function of species {mu}"
    keys = ("mus", "ns", "ls", "ms_combs")
    mus, ns, ls, flat = (ft.whole(ft.field(entry, key, path, where), path, where) for key in keys)
    if entry.get("ndensity", densities) != densities:
        raise InputFileError(
            path, f"{where} has ndensity {entry['ndensity']}, its embedding needs {densities} densities", ft.MEND
        )
    values = ft.real(ft.field(entry, "ctildes", path, where), path, where).ravel()
    rank = len(ns)
    if not (len(mus) == len(ls) == rank > 0 and len(flat) * densities == rank * len(values)):
        raise InputFileError(path, f"{where} has lists of unlike length (ns {list(ns)}, ls {list(ls)})", ft.MEND)
    for other, n, l in zip(mus, ns, ls, strict=True):
        bond = bonds.get((mu, other))
        if bond is None or not 1 <= n <= (bond.count if rank == 1 else bond.nradmax) or not 0 <= l <= bond.lmax:
            raise InputFileError(path, f"{where} (ns {list(ns)}, ls {list(ls)}) exceeds its radial functions", ft.MEND)
    terms: dict[tuple[int, ...], tuple[float, ...]] = {}
    for k, row in enumerate(values.reshape(-1, densities).tolist()):
        ms = flat[k * rank : (k + 1) * rank]
        if sum(ms) or any(abs(m) > l for m, l in zip(ms, ls, strict=True)):
            raise InputFileError(path, f"{where} has impossible m = {list(ms)} for ls {list(ls)}", ft.MEND)
        terms[ms] = tuple(a + b for a, b in zip(terms.get(ms, (0.0,) * densities), row, strict=True))
    return mus, ns, ls, terms
