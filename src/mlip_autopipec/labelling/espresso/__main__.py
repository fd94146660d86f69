"""What each pw.x output really is: one JSON object per line, with the numbers of those that ended well.

CRASH, the error stream (pw.err), data-file-schema.xml and the exit code (run.json) beside an output are taken into
account. Exit code: 0 when every output may train, 1 when one may not, 2 when an argument is wrong or a file is not
there.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from mlip_autopipec.labelling.espresso.output import PwResult, output_in, read_beside
from mlip_autopipec.labelling.espresso.verdict import Limits, judge, last_band_occupation

PROGRAM = "python -m mlip_autopipec.labelling.espresso"


def describe(result: PwResult, limits: Limits) -> dict[str, Any]:
    """Verdict and numbers of one output.

    Energies in eV (total, of the cell), stress in eV/A^3 (Voigt xx, yy, zz, yz, xz, xy with ASE's sign), moments in
    Bohr magnetons. `class` is ok, physics, structure, configuration or infrastructure; numbers of an output that is
    not usable are what stands in it.
    """
    verdict, text = judge(result, limits=limits), result.text
    return {
        "file": str(result.path),
        "outcome": verdict.outcome,
        "class": verdict.kind,
        "usable": verdict.usable,
        "reason": verdict.reason,
        "rejected_by": verdict.rejected_by,
        "calculation": text.calculation,
        "natoms": text.natoms,
        "energy_ev": text.energy_ev,
        "forces_shape": None if text.forces is None else list(text.forces.shape),
        "stress_ev_per_angstrom3": None if text.stress is None else text.stress.tolist(),
        "magmoms": text.site_moments,
        "total_magnetization": text.total_magnetization,
        "absolute_magnetization": text.absolute_magnetization,
        "fermi_ev": text.fermi_ev,
        "scf_accuracy_ry": text.scf_accuracy_ry,
        "conv_thr_ry": text.conv_thr_ry,
        "scf_iterations": text.iterations,
        "last_band_occupation": last_band_occupation(result),
        "scf_correction_ev_per_angstrom": text.scf_correction,
        "kpoints": text.kpoints,
        "bands": text.bands,
        "warnings": text.warnings,
        "version": text.version,
        "cpu_seconds": text.cpu_seconds,
        "wall_seconds": text.wall_seconds,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON object per output and return the exit code."""
    defaults = Limits()
    about, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog=PROGRAM, description=about, epilog=more)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a pw.x output, or a folder that holds one (pw.out)")
    parser.add_argument(
        "--minimum-distance-fraction",
        type=_positive,
        default=defaults.minimum_distance_fraction,
        metavar="X",
        help="shortest distance allowed, as a fraction of the sum of covalent radii (%(default)s)",
    )
    parser.add_argument(
        "--maximum-force",
        type=_positive,
        default=defaults.maximum_force_ev_per_angstrom,
        metavar="F",
        help="largest force allowed on an atom, eV/A (%(default)s)",
    )
    options = parser.parse_args(arguments)
    limits = Limits(options.minimum_distance_fraction, options.maximum_force)
    code = 0
    for name in options.files:
        result = read_beside(name)
        described = describe(result, limits)
        print(json.dumps(described, allow_nan=False))
        code = max(code, 0 if described["usable"] else 1)
        if result.unreadable and not result.witnessed:
            print(f"{PROGRAM}: {output_in(name)}: {result.unreadable}", file=sys.stderr)
            code = 2
    return code


def _positive(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a positive number")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `... | head` closed our output
        sys.stderr.close()
        sys.exit(1)
