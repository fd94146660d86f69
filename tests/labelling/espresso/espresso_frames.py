"""Frames, settings and stand-ins for pw.x that several tests of the labeller share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk, fcc111

PW = shutil.which("pw.x")
PSEUDO = Path(
    os.environ.get("ESPRESSO_PSEUDO", Path(PW or "/usr/bin/pw.x").parents[1] / "share" / "espresso" / "pseudo")
)
HAVE = PW is not None and (PSEUDO / "Si.pz-vbc.UPF").is_file() and (PSEUDO / "Al.pz-vbc.UPF").is_file()
needs_pw = pytest.mark.skipif(not HAVE, reason="pw.x or Debian's pseudopotentials (quantum-espresso) are not installed")

SILICON: dict[str, Any] = {
    "command": "pw.x",
    "pseudo_dir": [str(PSEUDO)],
    "pseudopotentials": {"Si": "Si.pz-vbc.UPF"},
    "ecutwfc_ry": 20.0,
    "ecutrho_ry": 80.0,
    "kmesh": [2, 2, 2],
    "kshift": [1, 1, 1],
    "smearing": "gaussian",
    "degauss_ry": 0.005,
    "conv_thr_ry_per_atom": 1e-9,
    "max_seconds": 300,
}
ALUMINIUM: dict[str, Any] = {
    **SILICON,
    "pseudopotentials": {"Al": "Al.pz-vbc.UPF"},
    "ecutwfc_ry": 8.0,
    "ecutrho_ry": 32.0,
    "kmesh": [2, 2, 1],
    "kshift": [0, 0, 0],
    "smearing": "cold",
    "degauss_ry": 0.02,
}


def silicon(displacement: float = 0.1) -> Atoms:
    atoms = bulk("Si", "diamond", 5.43, cubic=True)
    atoms.rattle(displacement, seed=1)
    return atoms


def aluminium_slab() -> Atoms:
    """Twelve (100) layers and 20 A of vacuum: 55 iterations at pw.x's default mixing, 34 with beta 0.3."""
    positions = [(1.432 * (n % 2), 1.432 * (n % 2), 2.025 * n) for n in range(12)]
    return Atoms("Al12", positions=positions, cell=[2.864, 2.864, 44.3], pbc=True)


def aluminium_111() -> Atoms:
    """Ten (111) layers: at pw.x's defaults never converged, because its default number of bands is too small."""
    atoms = fcc111("Al", (1, 1, 10), a=4.05, vacuum=9.0)
    atoms.pbc = True
    return atoms


def fake_pw(folder: Path, body: str) -> str:
    """A shell script that stands for pw.x; its absolute path."""
    path = folder / "fake_pw.x"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def fake_section(folder: Path) -> dict[str, Any]:
    """Settings for stand-ins, with a pseudopotential of which only the header is good."""
    (folder / "Si.upf").write_text(
        '<UPF version="2.0.1">\n<PP_HEADER element="Si" pseudo_type="NC" functional="PZ" z_valence="4.0"/>\n'
    )
    return {**SILICON, "pseudo_dir": [str(folder)], "pseudopotentials": {"Si": "Si.upf"}}
