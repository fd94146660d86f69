"""`python -m mlip_autopipec.labelling.espresso FILE...`: what each pw.x output really is, one JSON object per line."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from mlip_autopipec.labelling.espresso.output import PwResult, read_beside
from mlip_autopipec.labelling.espresso.verdict import Limits, judge


def describe(result: PwResult, limits: Limits) -> dict[str, Any]:
    """Verdict and numbers of one output; stress is Voigt with ASE's sign, moments are in Bohr magnetons."""
    verdict, text = judge(result, limits=limits), result.text
    return {
        "file": str(result.path),
        "outcome": verdict.outcome,
        "class": verdict.kind,
        "usable": verdict.usable,
        "reason": verdict.reason,
        "energy_ev": text.energy_ev,
        "forces_shape": None if text.forces is None else list(text.forces.shape),
        "stress_ev_per_angstrom3": None if text.stress is None else text.stress.tolist(),
        "magmoms": text.site_moments,
        "total_magnetization": text.total_magnetization,
        "absolute_magnetization": text.absolute_magnetization,
        "scf_accuracy_ry": text.scf_accuracy_ry,
        "conv_thr_ry": text.conv_thr_ry,
        "scf_iterations": text.iterations,
        "last_band_occupation": result.xml.last_band_occupation if result.xml else None,
        "scf_correction_ev_per_angstrom": text.scf_correction,
        "warnings": text.warnings,
        "version": text.version,
        "cpu_seconds": text.cpu_seconds,
    }


def main(arguments: list[str] | None = None) -> int:
    """Print one JSON object per output; 0 when all are usable, 1 otherwise."""
    defaults = Limits()
    parser = argparse.ArgumentParser(prog="python -m mlip_autopipec.labelling.espresso", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="pw.x output, or a folder that holds pw.out")
    parser.add_argument("--minimum-distance-fraction", type=float, default=defaults.minimum_distance_fraction)
    parser.add_argument(
        "--maximum-force", type=float, default=defaults.maximum_force_ev_per_angstrom, metavar="EV_PER_A"
    )
    options = parser.parse_args(arguments)
    limits = Limits(options.minimum_distance_fraction, options.maximum_force)
    all_usable = True
    for name in options.files:
        described = describe(read_beside(name), limits)
        all_usable &= described["usable"]
        print(json.dumps(described))
    return 0 if all_usable else 1


if __name__ == "__main__":
    sys.exit(main())
