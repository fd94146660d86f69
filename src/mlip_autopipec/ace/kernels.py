"""Numba kernels of the design matrix: every function's value, forces and strain derivative, one atom at a time.

For a central atom, A_{mu n l m} = sum_j R_nl(r_ij) Y_lm(r_ij), with complex Y_lm (Condon-Shortley phase, Y_00 = 1).
Arrays over neighbours have the neighbour as last index, so that the inner loops are contiguous; neighbours of one
atom are sorted by species. All that a kernel calls is in this file because numba's cache of a kernel is not renewed
when a function that it calls changes in another file; evaluation, many atoms at a time, is in `lanes`.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from mlip_autopipec.ace.tables import Array, Ints, SpeciesTables


class Work(NamedTuple):
    """Scratch arrays of the neighbour phase; k counts neighbours, t = l(l+1)/2 + m."""

    unit: Array  # [c, k] unit vector to the neighbour
    inverse_r: Array  # [k] 1/Angstrom
    radial: Array  # [row, k]
    slope: Array  # [row, k] derivative of radial
    legendre: Array  # [2, t, k] barred P_lm and its derivative by z
    powers: Array  # [2, m, k] real and imaginary part of (x + iy)^m
    y: Array  # [2, t, k] real and imaginary part of Y_lm
    gradient: Array  # [2, c, t, k] of Y_lm by r_ij
    first: Ints  # [species + 1] neighbours of species mu are first[mu]..first[mu+1]


@njit(cache=True, fastmath=True, error_model="numpy")
def _harmonics(lmax, nn, u, inverse_r, p, dp, w_re, w_im, y_re, y_im, g_re, g_im):
    """Y_lm, m >= 0, and their gradients by r_ij (Cartesian) for nn unit vectors u[3, nn]; index l(l+1)/2 + m.

    Recursion over the barred Legendre functions: R. Drautz, Phys. Rev. B 102, 024104 (2020), appendix.
    """
    x, y, z = u[0], u[1], u[2]
    for k in range(nn):
        p[0, k], dp[0, k] = 1.0, 0.0
        w_re[0, k], w_im[0, k] = 1.0, 0.0
    for m in range(1, lmax + 1):
        for k in range(nn):
            w_re[m, k] = w_re[m - 1, k] * x[k] - w_im[m - 1, k] * y[k]
            w_im[m, k] = w_re[m - 1, k] * y[k] + w_im[m - 1, k] * x[k]
    for l in range(1, lmax + 1):
        row, up, up2 = l * (l + 1) // 2, (l - 1) * l // 2, (l - 2) * (l - 1) // 2
        for m in range(l - 1):
            a = np.sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
            b = -np.sqrt(((l - 1.0) ** 2 - m * m) / (4.0 * (l - 1.0) ** 2 - 1.0))
            for k in range(nn):
                p[row + m, k] = a * (z[k] * p[up + m, k] + b * p[up2 + m, k])
                dp[row + m, k] = a * (p[up + m, k] + z[k] * dp[up + m, k] + b * dp[up2 + m, k])
        a = np.sqrt(2.0 * l + 1.0)
        b = -np.sqrt(1.0 + 0.5 / l)
        for k in range(nn):
            p[row + l - 1, k] = a * z[k] * p[up + l - 1, k]
            dp[row + l - 1, k] = a * p[up + l - 1, k]
            p[row + l, k] = b * p[up + l - 1, k]
            dp[row + l, k] = 0.0
    for l in range(lmax + 1):
        for m in range(l + 1):
            t = l * (l + 1) // 2 + m
            for k in range(nn):
                q, dq = p[t, k], dp[t, k]
                y_re[t, k], y_im[t, k] = q * w_re[m, k], q * w_im[m, k]
                dx_re, dx_im = 0.0, 0.0
                if m > 0:
                    dx_re, dx_im = m * q * w_re[m - 1, k], m * q * w_im[m - 1, k]
                dz_re, dz_im = dq * w_re[m, k], dq * w_im[m, k]
                along_re = x[k] * dx_re - y[k] * dx_im + z[k] * dz_re
                along_im = x[k] * dx_im + y[k] * dx_re + z[k] * dz_im
                g_re[0, t, k] = (dx_re - x[k] * along_re) * inverse_r[k]
                g_im[0, t, k] = (dx_im - x[k] * along_im) * inverse_r[k]
                g_re[1, t, k] = (-dx_im - y[k] * along_re) * inverse_r[k]
                g_im[1, t, k] = (dx_re - y[k] * along_im) * inverse_r[k]
                g_re[2, t, k] = (dz_re - z[k] * along_re) * inverse_r[k]
                g_im[2, t, k] = (dz_im - z[k] * along_im) * inverse_r[k]


@njit(cache=True, fastmath=True, error_model="numpy")
def _radial(tables: SpeciesTables, species, r, nn, radial, slope):
    """Radial functions and their derivatives [row, neighbour] from the Hermite splines of each neighbour's species."""
    for k in range(nn):
        mu = species[k]
        rows, bins = tables.rows[mu], tables.bins[mu]
        per_angstrom = bins / tables.cutoff[mu]
        t = r[k] * per_angstrom
        b = min(int(t), bins - 1)
        t -= b
        h1 = t * t * (3.0 - 2.0 * t)
        h0 = 1.0 - h1
        d0, d1 = t * (1.0 - t) * (1.0 - t), t * t * (t - 1.0)
        e1 = 6.0 * t * (1.0 - t) * per_angstrom
        f0, f1 = (1.0 - t) * (1.0 - 3.0 * t) * per_angstrom, t * (3.0 * t - 2.0) * per_angstrom
        at = tables.spline_start[mu] + b * 2 * rows
        s = tables.spline[at : at + 4 * rows]
        for q in range(rows):
            v0, s0, v1, s1 = s[q], s[rows + q], s[2 * rows + q], s[3 * rows + q]
            radial[q, k] = h0 * v0 + d0 * s0 + h1 * v1 + d1 * s1
            slope[q, k] = e1 * (v1 - v0) + f0 * s0 + f1 * s1


@njit(cache=True, fastmath=True, error_model="numpy")
def _leaves(tables: SpeciesTables, first, radial, y_re, y_im, v_re, v_im):
    """Atomic bases of one atom into v[leaf]; neighbours of species mu are first[mu]..first[mu+1]."""
    for mu in range(len(first) - 1):
        n0, n1 = first[mu], first[mu + 1]
        for g in range(tables.group_start[mu], tables.group_start[mu + 1]):
            l, row, size, leaf = tables.group_l[g], tables.group_row[g], tables.group_size[g], tables.group_leaf[g]
            for m in range(l + 1):
                t = l * (l + 1) // 2 + m
                for q in range(size):
                    re, im = 0.0, 0.0
                    for k in range(n0, n1):
                        re += radial[row + q, k] * y_re[t, k]
                        im += radial[row + q, k] * y_im[t, k]
                    v_re[leaf + m * size + q], v_im[leaf + m * size + q] = re, im
    positive = len(tables.leaf_species)
    for j in range(len(tables.mirror)):
        v_re[positive + j] = tables.mirror_sign[j] * v_re[tables.mirror[j]]
        v_im[positive + j] = -tables.mirror_sign[j] * v_im[tables.mirror[j]]


@njit(cache=True, fastmath=True, error_model="numpy")
def _products(tables: SpeciesTables, v_re, v_im):
    base = len(tables.leaf_species) + len(tables.mirror)
    for n in range(len(tables.node_a)):
        a, b = tables.node_a[n], tables.node_b[n]
        v_re[base + n] = v_re[a] * v_re[b] - v_im[a] * v_im[b]
        v_im[base + n] = v_re[a] * v_im[b] + v_im[a] * v_re[b]


@njit(cache=True, fastmath=True, error_model="numpy")
def _function_values(tables: SpeciesTables, v_re, f0, f1, out):
    for f in range(f0, f1):
        total = 0.0
        for e in range(tables.fun_start[f], tables.fun_start[f + 1]):
            total += tables.coupling[e] * v_re[tables.value[e]]
        out[f] = total


@njit(cache=True, error_model="numpy")
def _work(tables: SpeciesTables, nmax):
    """Scratch arrays of the neighbour phase for up to nmax neighbours."""
    nlm = (tables.lmax + 1) * (tables.lmax + 2) // 2
    rows = tables.rows.max()
    return Work(
        np.empty((3, nmax)),
        np.empty(nmax),
        np.empty((rows, nmax)),
        np.empty((rows, nmax)),
        np.empty((2, nlm, nmax)),
        np.empty((2, tables.lmax + 1, nmax)),
        np.empty((2, nlm, nmax)),
        np.empty((2, 3, nlm, nmax)),
        np.zeros(len(tables.rows) + 1, dtype=np.int64),
    )


@njit(cache=True, fastmath=True, error_model="numpy")
def _neighbour_phase(tables: SpeciesTables, vectors, distances, species, work):
    u, inverse_r, radial, slope, legendre, powers, harmonics, gradient, first = work
    nn = len(distances)
    for k in range(nn):
        inverse_r[k] = 1.0 / distances[k]
        for c in range(3):
            u[c, k] = vectors[k, c] * inverse_r[k]
    first[:] = 0
    for k in range(nn):
        first[species[k] + 1] += 1
    for mu in range(len(first) - 1):
        first[mu + 1] += first[mu]
    _radial(tables, species, distances, nn, radial, slope)
    p, dp, w_re, w_im = legendre[0], legendre[1], powers[0], powers[1]
    _harmonics(tables.lmax, nn, u, inverse_r, p, dp, w_re, w_im, harmonics[0], harmonics[1], gradient[0], gradient[1])


@njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
def design(tables: SpeciesTables, atoms, start, neighbour, vectors, distances, species, values, forces, strain, f0, f1):
    """Functions f0..f1: values[row of atoms, f]; adds to forces[f, 3 * atom + c] and strain[f, 3, 3].

    Threads may work on unlike functions of the same arrays at the same time.
    """
    nmax = 1
    for i in atoms:
        nmax = max(nmax, start[i + 1] - start[i])
    work = _work(tables, nmax)
    u, _, radial, slope, _, _, harmonics, gradient, first = work
    positive = len(tables.leaf_species)
    total = positive + len(tables.mirror) + len(tables.node_a)
    v_re, v_im = np.empty(total), np.empty(total)
    touched = 1
    for f in range(len(tables.touch_start) - 1):
        touched = max(touched, tables.touch_start[f + 1] - tables.touch_start[f])
    w_re, w_im = np.empty(touched), np.empty(touched)
    da_re, da_im = np.empty((positive, 3, nmax)), np.empty((positive, 3, nmax))
    pull, along = np.empty((3, nmax)), np.empty((3, nmax))
    for row in range(len(atoms)):
        i = atoms[row]
        s, e = start[i], start[i + 1]
        nn = e - s
        _neighbour_phase(tables, vectors[s:e], distances[s:e], species[s:e], work)
        _leaves(tables, first, radial, harmonics[0], harmonics[1], v_re, v_im)
        _products(tables, v_re, v_im)
        _function_values(tables, v_re, f0, f1, values[row])
        for k in range(nn):
            for c in range(3):
                along[c, k] = vectors[s + k, c]
        for mu in range(len(first) - 1):
            n0, n1 = first[mu], first[mu + 1]
            for g in range(tables.group_start[mu], tables.group_start[mu + 1]):
                l, r0, size, leaf0 = tables.group_l[g], tables.group_row[g], tables.group_size[g], tables.group_leaf[g]
                for m in range(l + 1):
                    t = l * (l + 1) // 2 + m
                    for q in range(size):
                        leaf = leaf0 + m * size + q
                        for c in range(3):
                            for k in range(n0, n1):
                                x, dx = radial[r0 + q, k], slope[r0 + q, k] * u[c, k]
                                da_re[leaf, c, k] = dx * harmonics[0, t, k] + x * gradient[0, c, t, k]
                                da_im[leaf, c, k] = dx * harmonics[1, t, k] + x * gradient[1, c, t, k]
        for f in range(f0, f1):
            t0, t1 = tables.touch_start[f], tables.touch_start[f + 1]
            w_re[: t1 - t0] = 0.0
            w_im[: t1 - t0] = 0.0
            for term in range(tables.term_start[f], tables.term_start[f + 1]):
                s0, s1 = tables.slot_start[term], tables.slot_start[term + 1]
                for slot in range(s0, s1):
                    a, b = tables.term_coupling[term], 0.0
                    for other in range(s0, s1):
                        if other != slot:
                            v = tables.slot_leaf[other]
                            a, b = a * v_re[v] - b * v_im[v], a * v_im[v] + b * v_re[v]
                    leaf, local = tables.slot_leaf[slot], tables.slot_local[slot]
                    if leaf < positive:
                        w_re[local] += a
                        w_im[local] += b
                    else:
                        sign = tables.mirror_sign[leaf - positive]
                        w_re[local] += sign * a
                        w_im[local] -= sign * b
            pull[:, :nn] = 0.0
            for t in range(t0, t1):
                leaf = tables.touch_leaf[t]
                a, b = w_re[t - t0], w_im[t - t0]
                n0, n1 = first[tables.leaf_species[leaf]], first[tables.leaf_species[leaf] + 1]
                for c in range(3):
                    for k in range(n0, n1):
                        pull[c, k] += a * da_re[leaf, c, k] - b * da_im[leaf, c, k]
            for c in range(3):
                own = 0.0
                for k in range(nn):
                    own += pull[c, k]
                    forces[f, 3 * neighbour[s + k] + c] -= pull[c, k]
                forces[f, 3 * i + c] += own
                for d in range(c + 1):  # symmetric, because B does not change with rotation
                    total_strain = 0.0
                    for k in range(nn):
                        total_strain += along[d, k] * pull[c, k]
                    strain[f, d, c] += total_strain
                    if d != c:
                        strain[f, c, d] += total_strain
