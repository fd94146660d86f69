"""Behaves like pacemaker in a folder with input.yaml, with no fit: what it does at the end is in $FAKE_PACEMAKER."""

import os
import signal
import sys
import time
from pathlib import Path

import yaml

HEADER = "ladder_step cycle_step iter_num loss e_loss_contrib f_loss_contrib nfuncs ncoefs"


def functions(text):
    return sum(len(block["nbody"] or []) for block in yaml.safe_load(text)["species"])


def main():
    if "--version" in sys.argv:
        print("pacemaker/pyace version: 0.3.0\nace_evaluator   version: 2023.11.25")
        return
    given = yaml.safe_load(Path(sys.argv[-1]).read_text())
    assert Path(given["data"]["filename"]).is_file()
    start = given["potential"]
    if isinstance(start, dict):  # a ladder from start to target
        assert start["reset"]
        assert functions(Path(start["initial_potential"]).read_text()) > 0
        start = start["filename"]
    potential = Path(start).read_text()
    ends = os.environ.get("FAKE_PACEMAKER", "finish")
    print("Start pacemaker", flush=True)
    if ends == "nothing":
        print("ResourceExhaustedError: out of memory")
        sys.exit(3)
    lines = [HEADER]
    for iteration in range(3):
        lines.append(f"0 0 {iteration} {1e-3 / (1 + iteration)} 0.0 0.0 {functions(potential)} 99")
        Path("metrics.txt").write_text("\n".join(lines) + "\n")
        Path("interim_potential_0.yaml").write_text(potential)
    if ends == "hang":
        Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    if ends == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ends == "truncated":  # killed while it wrote, at the end of a line
        whole = potential.splitlines(keepends=True)
        Path("interim_potential_0.yaml").write_text("".join(whole[:-2]))
        sys.exit(1)
    Path("output_potential.yaml").write_text(potential)


main()
