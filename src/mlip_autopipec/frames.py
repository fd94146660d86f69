"""Structures on disk: reading, writing, identity and lineage. The only file that knows the extended-XYZ keys.

Every frame is an `ase.Atoms` whose `info` carries `uid`, `parent`, `origin`, `generation` and `config_type`, and
`plane_distances` (A): those of the lattice planes of the unstrained cell, 0 where there is vacuum. The k-point mesh
follows from them, so that strained cells and walkers keep the mesh of the cell they came from. Frames of a walker carry
`start_type`, the `config_type` of what it started from.
Labels are `REF_energy` (eV, total), `REF_forces` (N x 3, eV/A) and `REF_stress` (Voigt xx,yy,zz,yz,xz,xy, eV/A^3,
ASE's sign). Uncertainty is `gamma` (per atom, dimensionless) and `gamma_max`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io import iread, write
from matscipy.neighbours import neighbour_list

from mlip_autopipec.artifacts import atomic_path
from mlip_autopipec.errors import InputFileError

ENERGY, FORCES, STRESS, MAGMOMS = "REF_energy", "REF_forces", "REF_stress", "REF_magmoms"
GAMMA, GAMMA_MAX = "gamma", "gamma_max"
ISOLATED_ATOM = "IsolatedAtom"
PLANE_DISTANCES = "plane_distances"
START_TYPE = "start_type"
VACUUM_ANGSTROM = 6.0  # a gap wider than this is vacuum: judged 23 shapes rightly

_IDENTITY_STEP_ANGSTROM = 1e-5  # coordinates closer than this are the same frame; files keep 8 decimals


def uid(atoms: Atoms) -> str:
    """Identity of a frame: 'f' and 15 hexadecimal digits hashed from cell, periodicity, species and positions.

    Coordinates are rounded to 1e-5 A first, so that a frame keeps its identity through a file. The leading letter
    keeps readers of extended XYZ from taking an identity for a number.
    """
    digest = hashlib.sha256()
    for array in (atoms.cell.array, atoms.positions):
        steps = np.round(np.asarray(array, dtype=float) / _IDENTITY_STEP_ANGSTROM).astype("<i8")
        digest.update(steps.tobytes())
    digest.update(np.asarray(atoms.numbers, dtype="<i4").tobytes())
    digest.update(np.asarray(atoms.pbc, dtype="u1").tobytes())
    return f"f{digest.hexdigest()[:15]}"


def new_frame(
    atoms: Atoms,
    *,
    origin: str,
    config_type: str,
    parent: str = "",
    generation: int = 0,
    like: Atoms | None = None,
    **extra: object,
) -> Atoms:
    """A clean copy of `atoms` (no calculator, no labels) that says where it came from.

    Args:
        origin: generator or walker with its parameters, e.g. ``"rattle amplitude=0.1 seed=3"``.
        config_type: kind of structure; errors are reported by it.
        parent: uid of the frame this one was made from, or ''.
        generation: generation of the loop that made it.
        like: the frame this one was made from by moving atoms or straining: it becomes the parent and hands on its
            `plane_distances`. Without it they are those of `atoms`.
        extra: further `info` entries (numbers or strings).
    """
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.info.update(
        uid=uid(frame), parent=parent, origin=origin, generation=int(generation), config_type=config_type, **extra
    )
    if like is not None:
        frame.info["parent"] = parent or like.info["uid"]
    inherited = like.info.get(PLANE_DISTANCES) if like is not None else None
    frame.info[PLANE_DISTANCES] = plane_distances(frame) if inherited is None else np.asarray(inherited, dtype=float)
    return frame


def plane_gaps(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Per axis of a cell, in A: the widest gap between atoms along the normal of lattice planes, and their distance.

    Gaps go across the cell's boundary. A cell without volume is all gap: infinite gaps, distances 0.
    """
    if abs(atoms.cell.volume) < 1e-6:
        return np.full(3, np.inf), np.zeros(3)
    distances = 1.0 / np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    scaled = np.sort(atoms.get_scaled_positions(wrap=True), axis=0)
    return np.diff(np.vstack([scaled, scaled[:1] + 1.0]), axis=0).max(axis=0) * distances, distances


def plane_distances(atoms: Atoms) -> np.ndarray:
    """Distances (A) of the lattice planes of a cell, 0 in directions that hold vacuum: those need one k-point only.

    Vacuum is the largest gap between atoms along a plane normal, across the cell's boundary too, above 6 A.
    """
    gaps, distances = plane_gaps(atoms)
    return np.round(np.where(gaps > VACUUM_ANGSTROM, 0.0, distances), 6)


def has_vacuum(atoms: Atoms) -> bool:
    """Whether the cell a frame came from holds vacuum in some direction (molecules, clusters, slabs, atoms)."""
    known = atoms.info.get(PLANE_DISTANCES)
    return bool((np.asarray(plane_distances(atoms) if known is None else known) == 0).any())


def set_label(
    atoms: Atoms, energy_ev: float, forces: np.ndarray, stress: np.ndarray | None, magmoms: np.ndarray | None = None
) -> Atoms:
    """Write a label into a frame (units in the module's docstring) and return it.

    Raises:
        ValueError: a value is not finite or has the wrong shape.
    """
    forces = np.asarray(forces, dtype=float)
    if forces.shape != (len(atoms), 3) or not np.isfinite(forces).all() or not np.isfinite(energy_ev):
        raise ValueError(f"a label for {len(atoms)} atoms needs a finite energy and ({len(atoms)}, 3) finite forces")
    atoms.info[ENERGY] = float(energy_ev)
    atoms.arrays[FORCES] = forces
    if stress is not None:
        stress = np.asarray(stress, dtype=float)
        if stress.shape != (6,) or not np.isfinite(stress).all():
            raise ValueError("a stress has six finite Voigt components")
        atoms.info[STRESS] = stress
    if magmoms is not None:
        atoms.arrays[MAGMOMS] = np.asarray(magmoms, dtype=float)
    return atoms


def write_frames(path: str | os.PathLike[str], frames: Iterable[Atoms]) -> None:
    """Write frames as extended XYZ, whole or not at all; an empty list gives an empty file."""
    frames = list(frames)
    with atomic_path(path) as temporary:
        if frames:
            write(temporary, [_without_empty_words(frame) for frame in frames], format="extxyz", write_results=False)


def frame_text(frame: Atoms) -> str:
    """One frame as `write_frames` writes it, for files that grow frame by frame."""
    text = io.StringIO()
    write(text, _without_empty_words(frame), format="extxyz", write_results=False)
    return text.getvalue()


def _without_empty_words(frame: Atoms) -> Atoms:
    """ASE writes an empty word as `parent=`, and reads what follows as its value: leave it out."""
    if "" not in [value for value in frame.info.values() if isinstance(value, str)]:
        return frame
    copy: Atoms = frame.copy()
    copy.info = {key: value for key, value in frame.info.items() if not (isinstance(value, str) and value == "")}
    return copy


def read_frames(path: str | os.PathLike[str]) -> list[Atoms]:
    """Read all frames of an extended XYZ file; an empty file is an empty list.

    Raises:
        InputFileError: the file is missing, truncated, or holds NaN coordinates.
    """
    path = Path(path)
    if not path.is_file():
        raise InputFileError(path, "no such file", "Run the rule that makes it, by giving its name to snakemake.")
    if path.stat().st_size == 0:
        return []
    try:
        frames = list(iread(path, index=":", format="extxyz"))
    except Exception as error:  # ASE raises many kinds for a damaged file
        raise InputFileError(
            path, f"not readable as extended XYZ ({error})", "Delete it and run again; it is made anew."
        ) from None
    for number, frame in enumerate(frames):
        frame.calc = None
        if "uid" in frame.info:
            frame.info.setdefault("parent", "")
        if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all()):
            raise InputFileError(path, f"frame {number} has coordinates that are not numbers", "Remove that frame.")
    return frames


def unique(frames: Sequence[Atoms], seen: Iterable[str] = ()) -> list[Atoms]:
    """Frames in order, without those whose uid was there before (in `seen` or earlier in the list)."""
    known = set(seen)
    kept = []
    for frame in frames:
        name = frame.info.get("uid") or uid(frame)
        if name not in known:
            known.add(name)
            kept.append(frame)
    return kept


def pairs(atoms: Atoms, cutoff_angstrom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of both atoms and distances in A of all pairs (each twice); without a cell in open directions, too."""
    boxed = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if not atoms.pbc.all():  # matscipy wants all atoms inside a cell that has a volume
        boxed.center(vacuum=1.0, axis=[k for k in range(3) if not atoms.pbc[k]])
    first, second, distance = neighbour_list("ijd", boxed, cutoff=cutoff_angstrom)
    return first, second, distance


def closest_contact(atoms: Atoms) -> tuple[float, float]:
    """Closest pair under periodic boundaries, judged by size.

    Returns:
        The smallest ratio of a distance to the sum of the two covalent radii (Cordero 2008) and that distance in A;
        two infinities when no pair is nearer than twice the sum of radii.
    """
    radii = covalent_radii[atoms.numbers]
    first, second, distance = pairs(atoms, 4 * float(radii.max(initial=0.1)))
    if len(distance) == 0:
        return float("inf"), float("inf")
    ratio = distance / (radii[first] + radii[second])
    closest = int(np.argmin(ratio))
    return float(ratio[closest]), float(distance[closest])
