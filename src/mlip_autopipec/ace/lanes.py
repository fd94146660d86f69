"""Numba kernels of evaluation: energies with forces and basis projections, eight atoms at a time.

For a central atom, A_{mu n l m} = sum_j R_nl(r_ij) Y_lm(r_ij), with complex Y_lm (Condon-Shortley phase, Y_00 = 1).
Eight atoms of one species are worked on together, each in one lane of vectors of eight doubles: every arithmetic
instruction serves eight atoms, whatever the number of their neighbours or functions. Neighbour slots that an atom of
the eight does not fill hold radial functions that are 0. Arrays of vectors are flat; vector n begins at 8 n; complex
numbers are two vectors, real part first. Nothing is shared between calls, so threads may call at the same time.

All that a kernel calls is in this file, although it is long for that: numba's cache of a kernel is not renewed when a
function that it calls changes in another file.
"""

# mypy: disable-error-code="no-untyped-def,type-arg,call-arg,var-annotated"

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

WIDTH = 8
TILE = 16
"""Neighbour slots whose harmonics are held at a time: they stay in the first-level cache."""

NO_CORE, DENSITY, NEAREST = 0, 1, 2
"""Core repulsion: none; switched by its density (types density and distance); by the nearest neighbour (zbl)."""


class Plan(NamedTuple):
    """What evaluation needs for one central species; see `tables.SpeciesTables` for leaves, groups and nodes.

    A value is a leaf, a mirrored leaf or an inner node. Products that nothing is built upon are not stored: they are
    terms (head, tail) with coefficients, sorted into runs with the same head.
    """

    spline: Array
    spline_start: Ints
    rows: Ints  # (species,) radial functions, core repulsion included
    bins: Ints
    cutoff: Array  # (species,) Angstrom
    lmax: int
    group_start: Ints
    group_l: Ints
    group_row: Ints
    group_size: Ints
    group_leaf: Ints
    leaves: int
    mirror: Ints
    mirror_sign: Array
    node_a: Ints
    node_b: Ints
    single: Ints  # values with coefficients of their own
    single_c: Array  # (singles, P)
    run_head: Ints
    run_start: Ints  # (runs + 1,)
    tail: Ints
    term_c: Array  # (terms, P)
    kind: int  # 0 linear, otherwise embedding.KINDS
    weights: Array  # (P,)
    exponents: Array  # (P,)
    constant: float  # eV, E0
    core: int  # NO_CORE, DENSITY or NEAREST
    core_cut: float
    core_width: float
    inner: Array  # (species,) Angstrom, r_in
    inner_width: Array  # (species,) Angstrom, delta_in


class List(NamedTuple):
    """Neighbours of all atoms as candidates; entries of atom i are start[i]..start[i+1], sorted by species."""

    start: Ints
    atom: NDArray[np.int32]
    image: NDArray[np.int32]
    positions: Array  # (N, 3) Angstrom, inside the cell
    images: Array  # (K, 3) Angstrom, translation of each image
    species: Ints  # (N,)
    shortest: float  # Angstrom, distances below it are refused


class _Lanes(types.Type):
    """Eight doubles in one vector register (LLVM splits it where registers are shorter)."""

    def __init__(self) -> None:
        super().__init__(name="Lanes8")


_lanes = _Lanes()
_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _VECTOR)


def _pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def _load(typing, array, index):
    def code(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1]), align=8)

    return _lanes(array, types.intp), code


@intrinsic
def _store(typing, array, index, vector):
    def code(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _lanes), code


@intrinsic
def _splat(typing, number):
    def code(context, builder, signature, args):
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, args[0], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(first, nothing, zeros)

    return _lanes(types.float64), code


@intrinsic
def _transpose(typing, source, at, target, to):
    """Writes the 8 x 8 numbers at source[at] transposed to target[to]."""

    def code(context, builder, signature, args):
        arrays = signature.args

        def place(k, index):
            return builder.add(index, ir.Constant(index.type, WIDTH * k))

        rows = [
            builder.load(_pointer(context, builder, arrays[0], args[0], place(k, args[1])), align=8)
            for k in range(WIDTH)
        ]
        half = WIDTH // 2
        while half:  # exchange the blocks off the diagonal, of size 4, 2, 1
            lower = [k for k in range(WIDTH) if not k & half]
            low = ir.Constant(
                ir.VectorType(ir.IntType(32), WIDTH), [k - half + WIDTH if k & half else k for k in range(WIDTH)]
            )
            high = ir.Constant(
                ir.VectorType(ir.IntType(32), WIDTH), [k + WIDTH if k & half else k + half for k in range(WIDTH)]
            )
            for k in lower:
                a, b = rows[k], rows[k + half]
                rows[k], rows[k + half] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)
            half //= 2
        for k in range(WIDTH):
            builder.store(rows[k], _pointer(context, builder, arrays[2], args[2], place(k, args[3])), align=8)
        return context.get_dummy_value()

    return types.void(source, types.intp, target, types.intp), code


def _operation(name):
    @intrinsic
    def apply(typing, x, y):
        def code(context, builder, signature, args):
            return getattr(builder, name)(args[0], args[1], flags=("fast",))

        return _lanes(_lanes, _lanes), code

    def chosen(x, y):
        if isinstance(x, _Lanes) and isinstance(y, _Lanes):
            return lambda x, y: apply(x, y)
        if isinstance(x, _Lanes) and isinstance(y, types.Float):
            return lambda x, y: apply(x, _splat(y))
        if isinstance(x, types.Float) and isinstance(y, _Lanes):
            return lambda x, y: apply(_splat(x), y)
        return None

    return chosen


overload(operator.add)(_operation("fadd"))
overload(operator.sub)(_operation("fsub"))
overload(operator.mul)(_operation("fmul"))


@njit(cache=True, error_model="numpy")
def _embed(kind, rho, m):
    """F(rho; m) and dF/drho; the embeddings of E = sum_p w_p F(rho_p; m_p)."""
    if kind == 0 or m == 1.0:
        return rho, 1.0
    a = abs(rho)
    sign = 1.0 if rho >= 0 else -1.0
    if kind == 1:  # FinnisSinclairShiftedScaled
        n = 1.0 / m
        decay = np.exp(-a)
        x = n ** (n / (1.0 - n)) * decay
        y = n ** (1.0 / (1.0 - n)) * decay
        power = (x + a) ** (m - 1.0)
        return sign * (power * (x + a) - y), y + m * (1.0 - x) * power
    w = 1e6  # FinnisSinclair: linear below 1/w
    slope = w ** (1.0 - m)
    if a < 1e-10:
        return slope * rho, slope
    exponent = (w * a) ** 3
    g = 0.0 if exponent > 30.0 else np.exp(-exponent)
    dg = -3.0 * exponent / a * g
    power = a ** (m - 1.0)
    value = (1.0 - g) * power * a + slope * g * a
    return sign * value, (1.0 - g) * m * power - dg * power * a + slope * (dg * a + g)


@njit(cache=True, error_model="numpy", nogil=True)
def embedding_slopes(kind, weights, exponents, densities):
    """w_p F'(rho_p), same shape as `densities` (n, P)."""
    out = np.empty_like(densities)
    for i in range(densities.shape[0]):
        for p in range(densities.shape[1]):
            out[i, p] = weights[p] * _embed(kind, densities[i, p], exponents[p])[1]
    return out


@njit(cache=True, error_model="numpy")
def _switch(x, outer, width):
    """1 for x <= outer - width, 0 for x >= outer, between a polynomial with two continuous derivatives; and slope."""
    if x <= outer - width:
        return 1.0, 0.0
    if x >= outer:
        return 0.0, 0.0
    s = 1.0 - 2.0 * (1.0 + (x - outer) / width)
    return 0.5 + 3.75 * (s / 4 - s**3 / 6 + s**5 / 20), 3.75 * (0.25 - s * s / 2 + s**4 / 4) * (-2.0 / width)


class _Near(NamedTuple):
    """Neighbours of eight atoms; slot k of species mu is between first[mu] and first[mu + 1]."""

    found: Array  # (8, candidates, 4) vector and distance, in Angstrom
    other: Ints  # (8, candidates) atom numbers
    counts: Ints  # (8, species)
    first: Ints  # (species + 1,)
    u: Array  # 3 vectors per slot, unit vector
    inverse: Array  # 1 / r
    radial: Array  # vector (slot, row)
    slope: Array  # its derivative
    stride: int  # vectors of a slot in radial and slope: the largest number of rows, in whole vectors
    values: Array  # radial functions of one slot before they are transposed
    changes: Array  # their derivatives
    cursor: Ints  # (8,)


@njit(cache=True, error_model="numpy", nogil=True)
def _gather(plan: Plan, near: List, atoms, work):
    """Neighbours within the cutoffs of up to eight atoms; the first pair that is too close, or (-1, -1)."""
    species_count = len(plan.rows)
    shortest2 = near.shortest * near.shortest
    bad_i, bad_j = -1, -1
    work.counts[:] = 0
    for w in range(len(atoms)):
        i = atoms[w]
        x, y, z = near.positions[i, 0], near.positions[i, 1], near.positions[i, 2]
        found, other = work.found[w], work.other[w]
        n = 0
        for e in range(near.start[i], near.start[i + 1]):
            j, s = near.atom[e], near.image[e]
            dx = near.positions[j, 0] + near.images[s, 0] - x
            dy = near.positions[j, 1] + near.images[s, 1] - y
            dz = near.positions[j, 2] + near.images[s, 2] - z
            r2 = dx * dx + dy * dy + dz * dz
            mu = near.species[j]
            found[n, 0], found[n, 1], found[n, 2], found[n, 3] = dx, dy, dz, r2
            other[n] = j
            if r2 < plan.cutoff[mu] * plan.cutoff[mu]:
                n += 1
                work.counts[w, mu] += 1
                if r2 < shortest2 and bad_i < 0:
                    bad_i, bad_j = i, j
    work.first[0] = 0
    for mu in range(species_count):
        most = 0
        for w in range(len(atoms)):
            most = max(most, work.counts[w, mu])
        work.first[mu + 1] = work.first[mu] + most
    return bad_i, bad_j


@njit(cache=True, error_model="numpy", nogil=True)
def _fill(plan: Plan, n_atoms, work):
    """Unit vectors, inverse distances, radial functions and slopes of every slot and lane.

    The splines of one neighbour are evaluated for eight functions at a time and then transposed into the lanes.
    """
    step = work.stride * WIDTH
    u, inverse, values, changes = work.u, work.inverse, work.values, work.changes
    spline = plan.spline
    zero = _splat(0.0)
    cursor = work.cursor
    cursor[:] = 0
    for mu in range(len(plan.rows)):
        rows, bins = plan.rows[mu], plan.bins[mu]
        per_angstrom = bins / plan.cutoff[mu]
        wide = (rows + WIDTH - 1) // WIDTH
        for k in range(work.first[mu], work.first[mu + 1]):
            for w in range(WIDTH):
                if w >= n_atoms or k - work.first[mu] >= work.counts[w, mu]:
                    u[k * 24 + w], u[k * 24 + 8 + w], u[k * 24 + 16 + w] = 0.0, 0.0, 1.0
                    inverse[k * WIDTH + w] = 1.0
                    for q in range(wide):
                        _store(values, (q * WIDTH + w) * WIDTH, zero)
                        _store(changes, (q * WIDTH + w) * WIDTH, zero)
                    continue
                n = cursor[w]
                cursor[w] += 1
                r = np.sqrt(work.found[w, n, 3])
                work.found[w, n, 3] = r
                one = 1.0 / r
                inverse[k * WIDTH + w] = one
                u[k * 24 + w] = work.found[w, n, 0] * one
                u[k * 24 + 8 + w] = work.found[w, n, 1] * one
                u[k * 24 + 16 + w] = work.found[w, n, 2] * one
                t = r * per_angstrom
                b = min(int(t), bins - 1)
                t -= b
                h1 = t * t * (3.0 - 2.0 * t)
                h0 = 1.0 - h1
                d0, d1 = t * (1.0 - t) * (1.0 - t), t * t * (t - 1.0)
                e1 = 6.0 * t * (1.0 - t) * per_angstrom
                f0, f1 = (1.0 - t) * (1.0 - 3.0 * t) * per_angstrom, t * (3.0 * t - 2.0) * per_angstrom
                at = plan.spline_start[mu] + b * 2 * rows
                for q in range(wide):
                    v0, s0 = _load(spline, at), _load(spline, at + rows)
                    v1, s1 = _load(spline, at + 2 * rows), _load(spline, at + 3 * rows)
                    o = (q * WIDTH + w) * WIDTH
                    _store(values, o, v0 * h0 + s0 * d0 + v1 * h1 + s1 * d1)
                    _store(changes, o, (v1 - v0) * e1 + s0 * f0 + s1 * f1)
                    at += WIDTH
            for q in range(wide):
                _transpose(values, q * 64, work.radial, k * step + q * 64)
                _transpose(changes, q * 64, work.slope, k * step + q * 64)


@njit(cache=True, error_model="numpy")
def _legendre_factors(lmax):
    """a_lm, b_lm of the recursion P_lm = a (z P_{l-1,m} + b P_{l-2,m}); for m >= l - 1 the factors of `_angles`.

    Source: R. Drautz, Phys. Rev. B 102, 024104 (2020), appendix.
    """
    size = (lmax + 1) * (lmax + 2) // 2
    a, b = np.zeros(size), np.zeros(size)
    for l in range(1, lmax + 1):
        row = l * (l + 1) // 2
        for m in range(l - 1):
            a[row + m] = np.sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
            b[row + m] = -np.sqrt(((l - 1.0) ** 2 - m * m) / (4.0 * (l - 1.0) ** 2 - 1.0))
        a[row + l - 1] = np.sqrt(2.0 * l + 1.0)
        a[row + l] = -np.sqrt(1.0 + 0.5 / l)
    return a, b


@njit(cache=True, error_model="numpy")
def _angles(lmax, fa, fb, u, at, p, dp, powers):
    """Barred Legendre functions P_lm(z) and their derivatives by index l(l+1)/2 + m, and (x + iy)^m, of one slot."""
    x, y, z = _load(u, at), _load(u, at + 8), _load(u, at + 16)
    one, zero = _splat(1.0), _splat(0.0)
    _store(p, 0, one)
    _store(dp, 0, zero)
    re, im = one, zero
    _store(powers, 0, one)
    _store(powers, 8, zero)
    for m in range(1, lmax + 1):
        re, im = re * x - im * y, re * y + im * x
        _store(powers, m * 16, re)
        _store(powers, m * 16 + 8, im)
    for l in range(1, lmax + 1):
        row, up, up2 = l * (l + 1) // 2, (l - 1) * l // 2, (l - 2) * (l - 1) // 2
        for m in range(l - 1):
            a, b = fa[row + m], fb[row + m]
            q, q2 = _load(p, (up + m) * 8), _load(p, (up2 + m) * 8)
            _store(p, (row + m) * 8, (z * q + q2 * b) * a)
            dq, dq2 = _load(dp, (up + m) * 8), _load(dp, (up2 + m) * 8)
            _store(dp, (row + m) * 8, (q + z * dq + dq2 * b) * a)
        q = _load(p, (up + l - 1) * 8)
        a, b = fa[row + l - 1], fa[row + l]
        _store(p, (row + l - 1) * 8, z * q * a)
        _store(dp, (row + l - 1) * 8, q * a)
        _store(p, (row + l) * 8, q * b)
        _store(dp, (row + l) * 8, zero)


@njit(cache=True, error_model="numpy", nogil=True)
def _leaf_values(plan: Plan, work, fa, fb, p, dp, powers, y, v):
    """Atomic bases A of the eight atoms into v, mirrored ones included."""
    step = work.stride * WIDTH
    radial = work.radial
    zero = _splat(0.0)
    for n in range(plan.leaves):
        _store(v, n * 16, zero)
        _store(v, n * 16 + 8, zero)
    for mu in range(len(plan.rows)):
        k0 = work.first[mu]
        while k0 < work.first[mu + 1]:
            size_k = min(TILE, work.first[mu + 1] - k0)
            for k in range(size_k):
                _angles(plan.lmax, fa, fb, work.u, (k0 + k) * 24, p, dp, powers)
                for l in range(plan.lmax + 1):
                    for m in range(l + 1):
                        t = l * (l + 1) // 2 + m
                        q = _load(p, t * 8)
                        _store(y, (t * TILE + k) * 16, q * _load(powers, m * 16))
                        _store(y, (t * TILE + k) * 16 + 8, q * _load(powers, m * 16 + 8))
            for g in range(plan.group_start[mu], plan.group_start[mu + 1]):
                l, row, size, leaf = plan.group_l[g], plan.group_row[g], plan.group_size[g], plan.group_leaf[g]
                for m in range(l + 1):
                    t = (l * (l + 1) // 2 + m) * TILE * 16
                    q = 0
                    while q + 4 <= size:
                        a0, a1, a2, a3 = zero, zero, zero, zero
                        b0, b1, b2, b3 = zero, zero, zero, zero
                        at = k0 * step + (row + q) * WIDTH
                        for k in range(size_k):
                            re, im = _load(y, t + k * 16), _load(y, t + k * 16 + 8)
                            r0, r1 = _load(radial, at), _load(radial, at + 8)
                            r2, r3 = _load(radial, at + 16), _load(radial, at + 24)
                            a0, a1, a2, a3 = a0 + r0 * re, a1 + r1 * re, a2 + r2 * re, a3 + r3 * re
                            b0, b1, b2, b3 = b0 + r0 * im, b1 + r1 * im, b2 + r2 * im, b3 + r3 * im
                            at += step
                        o = (leaf + m * size + q) * 16
                        _store(v, o, _load(v, o) + a0)
                        _store(v, o + 8, _load(v, o + 8) + b0)
                        _store(v, o + 16, _load(v, o + 16) + a1)
                        _store(v, o + 24, _load(v, o + 24) + b1)
                        _store(v, o + 32, _load(v, o + 32) + a2)
                        _store(v, o + 40, _load(v, o + 40) + b2)
                        _store(v, o + 48, _load(v, o + 48) + a3)
                        _store(v, o + 56, _load(v, o + 56) + b3)
                        q += 4
                    while q < size:
                        a0, b0 = zero, zero
                        at = k0 * step + (row + q) * WIDTH
                        for k in range(size_k):
                            r0 = _load(radial, at)
                            a0 = a0 + r0 * _load(y, t + k * 16)
                            b0 = b0 + r0 * _load(y, t + k * 16 + 8)
                            at += step
                        o = (leaf + m * size + q) * 16
                        _store(v, o, _load(v, o) + a0)
                        _store(v, o + 8, _load(v, o + 8) + b0)
                        q += 1
            k0 += size_k
    for j in range(len(plan.mirror)):
        a, o, sign = plan.mirror[j] * 16, (plan.leaves + j) * 16, plan.mirror_sign[j]
        _store(v, o, _load(v, a) * sign)
        _store(v, o + 8, _load(v, a + 8) * (-sign))


@njit(cache=True, error_model="numpy", nogil=True)
def _multiply(node_a, node_b, base, v):
    """Values of the nodes: products of two earlier values."""
    for n in range(len(node_a)):
        a, b, o = node_a[n] * 16, node_b[n] * 16, (base + n) * 16
        ar, ai, br, bi = _load(v, a), _load(v, a + 8), _load(v, b), _load(v, b + 8)
        _store(v, o, ar * br - ai * bi)
        _store(v, o + 8, ar * bi + ai * br)


@njit(cache=True, error_model="numpy", nogil=True)
def _linear(plan: Plan, v, w):
    """Energy sum_f c_f B_f of the eight atoms; its derivatives by the values are added to w."""
    energy = _splat(0.0)
    for n in range(len(plan.single)):
        o, c = plan.single[n] * 16, plan.single_c[n, 0]
        energy = energy + _load(v, o) * c
        _store(w, o, _load(w, o) + c)
    for run in range(len(plan.run_head)):
        h = plan.run_head[run] * 16
        ar, ai = _load(v, h), _load(v, h + 8)
        xr, xi = _splat(0.0), _splat(0.0)
        for n in range(plan.run_start[run], plan.run_start[run + 1]):
            o, c = plan.tail[n] * 16, plan.term_c[n, 0]
            xr, xi = xr + _load(v, o) * c, xi + _load(v, o + 8) * c
            _store(w, o, _load(w, o) + ar * c)
            _store(w, o + 8, _load(w, o + 8) + ai * c)
        energy = energy + (ar * xr - ai * xi)
        _store(w, h, _load(w, h) + xr)
        _store(w, h + 8, _load(w, h + 8) + xi)
    return energy


@njit(cache=True, error_model="numpy", nogil=True)
def _nonlinear(plan: Plan, n_atoms, v, w, rho, energy):
    """As `_linear` for several densities and their embedding; energy (8,), rho is scratch of P vectors."""
    count = len(plan.weights)
    for d in range(count):
        total = _splat(0.0)
        for n in range(len(plan.single)):
            total = total + _load(v, plan.single[n] * 16) * plan.single_c[n, d]
        for run in range(len(plan.run_head)):
            h = plan.run_head[run] * 16
            xr, xi = _splat(0.0), _splat(0.0)
            for n in range(plan.run_start[run], plan.run_start[run + 1]):
                o, c = plan.tail[n] * 16, plan.term_c[n, d]
                xr, xi = xr + _load(v, o) * c, xi + _load(v, o + 8) * c
            total = total + (_load(v, h) * xr - _load(v, h + 8) * xi)
        _store(rho, d * 8, total)
    energy[:] = 0.0
    for d in range(count):
        for lane in range(WIDTH):
            value, slope = 0.0, 0.0
            if lane < n_atoms:
                value, slope = _embed(plan.kind, rho[d * 8 + lane], plan.exponents[d])
            energy[lane] += plan.weights[d] * value
            rho[d * 8 + lane] = plan.weights[d] * slope
    for n in range(len(plan.single)):
        o = plan.single[n] * 16
        c = _splat(0.0)
        for d in range(count):
            c = c + _load(rho, d * 8) * plan.single_c[n, d]
        _store(w, o, _load(w, o) + c)
    for run in range(len(plan.run_head)):
        h = plan.run_head[run] * 16
        ar, ai = _load(v, h), _load(v, h + 8)
        xr, xi = _splat(0.0), _splat(0.0)
        for n in range(plan.run_start[run], plan.run_start[run + 1]):
            o = plan.tail[n] * 16
            c = _splat(0.0)
            for d in range(count):
                c = c + _load(rho, d * 8) * plan.term_c[n, d]
            xr, xi = xr + _load(v, o) * c, xi + _load(v, o + 8) * c
            _store(w, o, _load(w, o) + ar * c)
            _store(w, o + 8, _load(w, o + 8) + ai * c)
        _store(w, h, _load(w, h) + xr)
        _store(w, h + 8, _load(w, h + 8) + xi)


@njit(cache=True, error_model="numpy", nogil=True)
def _backward(plan: Plan, v, w):
    """Derivatives by the leaves from those by the inner nodes and mirrored leaves."""
    base = plan.leaves + len(plan.mirror)
    for n in range(len(plan.node_a) - 1, -1, -1):
        a, b, o = plan.node_a[n] * 16, plan.node_b[n] * 16, (base + n) * 16
        x, y = _load(w, o), _load(w, o + 8)
        br, bi = _load(v, b), _load(v, b + 8)
        _store(w, a, _load(w, a) + (x * br - y * bi))
        _store(w, a + 8, _load(w, a + 8) + (x * bi + y * br))
        ar, ai = _load(v, a), _load(v, a + 8)
        _store(w, b, _load(w, b) + (x * ar - y * ai))
        _store(w, b + 8, _load(w, b + 8) + (x * ai + y * ar))
    for j in range(len(plan.mirror)):
        a, o, sign = plan.mirror[j] * 16, (plan.leaves + j) * 16, plan.mirror_sign[j]
        _store(w, a, _load(w, a) + _load(w, o) * sign)
        _store(w, a + 8, _load(w, a + 8) - _load(w, o + 8) * sign)


@njit(cache=True, error_model="numpy", nogil=True)
def _pair_forces(plan: Plan, work, fa, fb, p, dp, powers, w, factors, pull):
    """dE_i/dr_ij of every slot and lane, 3 vectors per slot; factors: of the ACE part and of the core repulsion."""
    radial, slope = work.radial, work.slope
    zero = _splat(0.0)
    ace, core = _load(factors, 0), _load(factors, 8)
    for mu in range(len(plan.rows)):
        for k in range(work.first[mu], work.first[mu + 1]):
            _angles(plan.lmax, fa, fb, work.u, k * 24, p, dp, powers)
            at = k * work.stride * WIDTH
            gx, gy, gz, along = zero, zero, zero, zero
            for m in range(plan.lmax + 1):
                qr, qi, zr, zi, er, ei = zero, zero, zero, zero, zero, zero
                for g in range(plan.group_start[mu], plan.group_start[mu + 1]):
                    l, size = plan.group_l[g], plan.group_size[g]
                    if l < m:
                        continue
                    o = (plan.group_leaf[g] + m * size) * 16
                    r = at + plan.group_row[g] * WIDTH
                    sr, si, tr, ti = zero, zero, zero, zero
                    for _ in range(size):
                        a, b = _load(w, o), _load(w, o + 8)
                        value, change = _load(radial, r), _load(slope, r)
                        sr, si = sr + a * value, si + b * value
                        tr, ti = tr + a * change, ti + b * change
                        o += 16
                        r += WIDTH
                    t = (l * (l + 1) // 2 + m) * 8
                    q, dq = _load(p, t), _load(dp, t)
                    qr, qi = qr + q * sr, qi + q * si
                    zr, zi = zr + dq * sr, zi + dq * si
                    er, ei = er + q * tr, ei + q * ti
                re, im = _load(powers, m * 16), _load(powers, m * 16 + 8)
                gz = gz + (zr * re - zi * im)
                along = along + (er * re - ei * im)
                if m > 0:
                    re, im = _load(powers, m * 16 - 16) * float(m), _load(powers, m * 16 - 8) * float(m)
                    gx = gx + (qr * re - qi * im)
                    gy = gy - (qr * im + qi * re)
            x, y, z, one = _load(work.u, k * 24), _load(work.u, k * 24 + 8), _load(work.u, k * 24 + 16), ace
            inverse = _load(work.inverse, k * 8)
            along = (along - (x * gx + y * gy + z * gz) * inverse) * one
            if plan.core:
                along = along + core * _load(slope, at + (plan.rows[mu] - 1) * WIDTH)
            inverse = inverse * one
            _store(pull, k * 24, gx * inverse + x * along)
            _store(pull, k * 24 + 8, gy * inverse + y * along)
            _store(pull, k * 24 + 16, gz * inverse + z * along)


@njit(cache=True, error_model="numpy")
def _core(plan: Plan, work, n_atoms, energy, factors, nearest):
    """Adds the core repulsion to the energies (8,); fills the factors of both forces and the pull on the nearest."""
    for lane in range(n_atoms):
        repulsion = 0.0
        n, gap, width, which = 0, np.inf, 1.0, -1
        for mu in range(len(plan.rows)):
            k = work.first[mu]
            for _ in range(work.counts[lane, mu]):
                repulsion += work.radial[(k * work.stride + plan.rows[mu] - 1) * WIDTH + lane]
                if plan.core == NEAREST:
                    beyond = work.found[lane, n, 3] - (plan.inner[mu] - plan.inner_width[mu])
                    if beyond < gap:
                        gap, width, which = beyond, plan.inner_width[mu], n
                n += 1
                k += 1
        nearest[lane, 0] = -1.0
        if plan.core == DENSITY:
            cut, change = _switch(repulsion, plan.core_cut, plan.core_width)
            factors[lane], factors[8 + lane] = cut, energy[lane] * change + 1.0
            energy[lane] = energy[lane] * cut + repulsion
        else:
            off, change = _switch(gap, width, width)
            factors[lane], factors[8 + lane] = 1.0 - off, off
            nearest[lane, 0] = which
            nearest[lane, 1] = (repulsion - energy[lane]) * change
            energy[lane] = energy[lane] * (1.0 - off) + repulsion * off


@njit(cache=True, error_model="numpy", nogil=True)
def _workspace(plan: Plan, near: List, atoms):
    """Scratch arrays for blocks of eight of `atoms`."""
    species_count = len(plan.rows)
    candidates, slots = 1, 1
    for begin in range(0, len(atoms), WIDTH):
        most = np.zeros(species_count, dtype=np.int64)
        for i in atoms[begin : begin + WIDTH]:
            candidates = max(candidates, near.start[i + 1] - near.start[i])
            count = np.zeros(species_count, dtype=np.int64)
            for e in range(near.start[i], near.start[i + 1]):
                count[near.species[near.atom[e]]] += 1
            most = np.maximum(most, count)
        slots = max(slots, most.sum())
    stride = (plan.rows.max() + WIDTH - 1) // WIDTH * WIDTH
    return _Near(
        np.empty((WIDTH, candidates + 1, 4)),
        np.empty((WIDTH, candidates + 1), dtype=np.int64),
        np.zeros((WIDTH, species_count), dtype=np.int64),
        np.zeros(species_count + 1, dtype=np.int64),
        np.empty(slots * 24),
        np.empty(slots * WIDTH),
        np.empty(slots * stride * WIDTH),
        np.empty(slots * stride * WIDTH),
        stride,
        np.empty(stride * WIDTH),
        np.empty(stride * WIDTH),
        np.empty(WIDTH, dtype=np.int64),
    )


@njit(cache=True, error_model="numpy", nogil=True)
def energies_forces(plan: Plan, near: List, atoms, energies, counts, other, pulls, virial):
    """Energies of `atoms` (all of one species) and their pull dE_i/dr_ij on every neighbour.

    Args:
        energies: (N,), entries of `atoms` are set, in eV.
        counts: (len(atoms),) set to the number of neighbours of each.
        other, pulls: (P,), (P, 3) neighbours in order and the pulls on them in eV/Angstrom.
        virial: (3, 3) sum of r_ij (x) dE_i/dr_ij in eV is added.

    Returns:
        A pair of atoms that is closer than `near.shortest`, otherwise (-1, -1).
    """
    work = _workspace(plan, near, atoms)
    fa, fb = _legendre_factors(plan.lmax)
    nlm = len(fa)
    p, dp, powers = np.empty(nlm * 8), np.empty(nlm * 8), np.empty((plan.lmax + 1) * 16)
    y = np.empty(nlm * TILE * 16)
    base = plan.leaves + len(plan.mirror)
    total = base + len(plan.node_a)
    v, w = np.empty(total * 16), np.empty(total * 16)
    rho, energy, factors = np.empty(len(plan.weights) * 8), np.empty(8), np.ones(16)
    pull, nearest = np.empty(len(work.u)), np.zeros((WIDTH, 2))
    nearest[:, 0] = -1.0
    written = 0
    for begin in range(0, len(atoms), WIDTH):
        block = atoms[begin : begin + WIDTH]
        bad_i, bad_j = _gather(plan, near, block, work)
        if bad_i >= 0:
            return bad_i, bad_j
        _fill(plan, len(block), work)
        _leaf_values(plan, work, fa, fb, p, dp, powers, y, v)
        _multiply(plan.node_a, plan.node_b, base, v)
        w[:] = 0.0
        if plan.kind == 0:
            _store(energy, 0, _linear(plan, v, w))
        else:
            _nonlinear(plan, len(block), v, w, rho, energy)
        _backward(plan, v, w)
        if plan.core:
            _core(plan, work, len(block), energy, factors, nearest)
        _pair_forces(plan, work, fa, fb, p, dp, powers, w, factors, pull)
        for lane in range(len(block)):
            energies[block[lane]] = energy[lane] + plan.constant
            n = 0
            for mu in range(len(plan.rows)):
                k = work.first[mu] * 24 + lane
                for _ in range(work.counts[lane, mu]):
                    x, z = work.found[lane, n], work.other[lane, n]
                    a, b, c = pull[k], pull[k + 8], pull[k + 16]
                    if n == nearest[lane, 0]:
                        more = nearest[lane, 1] / x[3]
                        a, b, c = a + more * x[0], b + more * x[1], c + more * x[2]
                    other[written] = z
                    pulls[written, 0], pulls[written, 1], pulls[written, 2] = a, b, c
                    virial[0, 0] += x[0] * a
                    virial[0, 1] += x[0] * b
                    virial[0, 2] += x[0] * c
                    virial[1, 1] += x[1] * b
                    virial[1, 2] += x[1] * c
                    virial[2, 2] += x[2] * c
                    written += 1
                    n += 1
                    k += 24
            counts[begin + lane] = n
    return -1, -1


@njit(cache=True, error_model="numpy", nogil=True)
def scatter(atoms, counts, other, pulls, forces):
    """Adds the pulls of `energies_forces` to forces (N, 3); one thread at a time, in the order of the atoms."""
    n = 0
    for a in range(len(atoms)):
        x, y, z = 0.0, 0.0, 0.0
        for _ in range(counts[a]):
            j = other[n]
            x += pulls[n, 0]
            y += pulls[n, 1]
            z += pulls[n, 2]
            forces[j, 0] -= pulls[n, 0]
            forces[j, 1] -= pulls[n, 1]
            forces[j, 2] -= pulls[n, 2]
            n += 1
        forces[atoms[a], 0] += x
        forces[atoms[a], 1] += y
        forces[atoms[a], 2] += z


@njit(cache=True, error_model="numpy", nogil=True)
def projections(plan: Plan, fun_start, value, coupling, near: List, atoms, out):
    """Values of the functions, out[row of `atoms`, function]; returns as `energies_forces`.

    Here every node of the plan is stored, and function f is the sum of coupling * Re(value) over its entries.
    """
    work = _workspace(plan, near, atoms)
    fa, fb = _legendre_factors(plan.lmax)
    nlm = len(fa)
    p, dp, powers = np.empty(nlm * 8), np.empty(nlm * 8), np.empty((plan.lmax + 1) * 16)
    y = np.empty(nlm * TILE * 16)
    base = plan.leaves + len(plan.mirror)
    v = np.empty((base + len(plan.node_a)) * 16)
    result = np.empty(8)
    for begin in range(0, len(atoms), WIDTH):
        block = atoms[begin : begin + WIDTH]
        bad_i, bad_j = _gather(plan, near, block, work)
        if bad_i >= 0:
            return bad_i, bad_j
        _fill(plan, len(block), work)
        _leaf_values(plan, work, fa, fb, p, dp, powers, y, v)
        _multiply(plan.node_a, plan.node_b, base, v)
        for f in range(len(fun_start) - 1):
            total = _splat(0.0)
            for e in range(fun_start[f], fun_start[f + 1]):
                total = total + _load(v, value[e] * 16) * coupling[e]
            _store(result, 0, total)
            for lane in range(len(block)):
                out[begin + lane, f] = result[lane]
    return -1, -1
