"""Files in VASP's formats, made here: data sets, vasprun.xml, OUTCAR, and a program that stands for VASP."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase.units import GPa

POTCAR = """  PAW_PBE {name} 05Jan2001
   {electrons:.15f}
 parameters from PSCTR are:
   VRHFIN ={symbol}: made for tests
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.3500 Ry
   TITEL  = PAW_PBE {name} 05Jan2001
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    1.500    partial core radius
   POMASS =   28.085; ZVAL   =    {electrons:.3f}    mass and valenz
   ENMAX  =  245.345; ENMIN  =  184.009 eV
 End of Dataset
"""


def data_sets(folder: Path, sets: dict[str, tuple[str, float]]) -> Path:
    """A folder as VASP_PP_PATH names it; `sets` holds symbol and valence electrons by the name of the data set."""
    for name, (symbol, electrons) in sets.items():
        place = folder / "potpaw_PBE" / name
        place.mkdir(parents=True)
        (place / "POTCAR").write_text(POTCAR.format(name=name, symbol=symbol, electrons=electrons))
    return folder


def _rows(table, indent="   "):
    return "\n".join(f"{indent}<v> " + " ".join(f"{x:16.8f}" for x in row) + " </v>" for row in np.atleast_2d(table))


def vasprun(atoms, energies, forces, stress, nelm=60, version="6.2.0"):
    """vasprun.xml of a single point whose SCF went through `energies` (eV); stress in eV/A^3, ASE's sign."""
    steps = "\n".join(
        f"""  <scstep>
   <time name="dav">    0.03    0.03</time>
   <energy>
    <i name="e_fr_energy"> {energy:16.8f} </i>
    <i name="e_wo_entrp"> {energy + 0.02:16.8f} </i>
    <i name="e_0_energy"> {energy + 0.01:16.8f} </i>
   </energy>
  </scstep>"""
        for energy in energies
    )
    kbar = -np.array(stress)[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]] / (0.1 * GPa)
    species = "\n".join(f"    <rc><c>{s} </c><c>   1</c></rc>" for s in atoms.symbols)
    kinds = dict.fromkeys(atoms.symbols)
    types = "\n".join(
        f"    <rc><c>{list(atoms.symbols).count(s):4d}</c><c>{s} </c><c>     28.085</c><c>      4.0</c>"
        f"<c>  PAW_PBE {s} 05Jan2001                  </c></rc>"
        for s in kinds
    )
    structure = f"""   <crystal>
    <varray name="basis" >
{_rows(atoms.cell.array)}
    </varray>
    <i name="volume"> {atoms.get_volume():16.8f} </i>
    <varray name="rec_basis" >
{_rows(atoms.cell.reciprocal())}
    </varray>
   </crystal>
   <varray name="positions" >
{_rows(atoms.get_scaled_positions())}
   </varray>"""
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">{version}  </i>
  <i name="subversion" type="string">made for tests </i>
  <i name="platform" type="string">LinuxGNU </i>
  <i name="date" type="string">2024 01 01 </i>
  <i name="time" type="string">12:00:00 </i>
 </generator>
 <incar>
  <i type="int" name="NELM"> {nelm:5d}</i>
 </incar>
 <kpoints>
  <generation param="Gamma">
   <v type="int" name="divisions">       1        1        1 </v>
   <v name="usershift">      0.00000000       0.00000000       0.00000000 </v>
   <v name="shift">      0.00000000       0.00000000       0.00000000 </v>
  </generation>
  <varray name="kpointlist" >
   <v>       0.00000000       0.00000000       0.00000000 </v>
  </varray>
  <varray name="weights" >
   <v>       1.00000000 </v>
  </varray>
 </kpoints>
 <parameters>
  <separator name="electronic" >
   <i type="string" name="PREC">accura</i>
   <separator name="electronic convergence" >
    <i type="int" name="NELM"> {nelm:5d}</i>
   </separator>
  </separator>
  <separator name="ionic" >
   <i type="int" name="NSW">     0</i>
   <i type="int" name="IBRION">    -1</i>
  </separator>
 </parameters>
 <atominfo>
  <atoms> {len(atoms):7d} </atoms>
  <types> {len(kinds):7d} </types>
  <array name="atoms" >
   <dimension dim="1">ion</dimension>
   <field type="string">element</field>
   <field type="int">atomtype</field>
   <set>
{species}
   </set>
  </array>
  <array name="atomtypes" >
   <dimension dim="1">type</dimension>
   <field type="int">atomspertype</field>
   <field type="string">element</field>
   <field>mass</field>
   <field>valence</field>
   <field type="string">pseudopotential</field>
   <set>
{types}
   </set>
  </array>
 </atominfo>
 <structure name="initialpos" >
{structure}
 </structure>
 <calculation>
{steps}
  <structure>
{structure}
  </structure>
  <varray name="forces" >
{_rows(forces)}
  </varray>
  <varray name="stress" >
{_rows(kbar)}
  </varray>
  <energy>
   <i name="e_fr_energy"> {energies[-1]:16.8f} </i>
   <i name="e_wo_entrp"> {energies[-1] + 0.02:16.8f} </i>
   <i name="e_0_energy"> {energies[-1] + 0.01:16.8f} </i>
  </energy>
  <time name="totalsc">    0.46    0.46</time>
 </calculation>
 <structure name="finalpos" >
{structure}
 </structure>
</modeling>
"""


def outcar(moments=None, ended=True, said="aborting loop because EDIFF is reached"):
    """The parts of OUTCAR that are read."""
    total = sum(moments or [])
    lines = [
        " vasp.6.2.0 18Jan21 (build May 29 2021 13:05:38) complex",
        f" number of electron       8.0000000 magnetization {total:15.7f}",
        f"------------------------ {said} ----------------------------------------",
    ]
    if moments:
        lines += ["", " magnetization (x)", " ", "# of ion       s       p       d       tot", "-" * 42]
        lines += [f"{k:5d}        0.000   0.000   {m:.3f}   {m:.3f}" for k, m in enumerate(moments, 1)]
        lines += ["-" * 50, f"tot          0.000   0.000   {total:.3f}   {total:.3f}", ""]
    if ended:
        lines += [
            " General timing and accounting informations for this job:",
            " ========================================================",
            "",
            "                  Total CPU time used (sec):       20.463",
            "                         Elapsed time (sec):       22.518",
            "",
            "                   Maximum memory used (kb):       63948.",
        ]
    return "\n".join(lines) + "\n"


def program(path: Path, body: str = "") -> Path:
    """A program that reads POSCAR and INCAR and writes what VASP would, its numbers from ASE's EMT.

    Args:
        body: Python lines that may change `energies`, `nelm` and `said`, or leave early; `incar` is INCAR's text.
    """
    path.write_text(
        f"""#!{sys.executable}
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from ase.calculators.emt import EMT
from ase.io import read
from vasp_files import outcar, vasprun
incar = Path("INCAR").read_text()
atoms = read("POSCAR", format="vasp")
atoms.calc = EMT()
energy, nelm, said = atoms.get_potential_energy(), 60, "aborting loop because EDIFF is reached"
energies = [energy + 1.0, energy + 1e-9, energy]
moments = None
{body}
Path("vasprun.xml").write_text(vasprun(atoms, energies, atoms.get_forces(), atoms.get_stress(), nelm))
Path("OUTCAR").write_text(outcar(moments, said=said))
"""
    )
    path.chmod(0o755)
    return path
