#!/usr/bin/env bash
# Runs in the environment that `snakemake --sdm conda` has just made, from the project's folder.
set -euo pipefail
# mace-torch goes in without a look at what it asks for: see envs/setup.sh.
python -m pip install --quiet --no-warn-conflicts -r <(grep -v '^mace-torch==' envs/requirements.txt)
python -m pip install --quiet --no-deps -r envs/requirements.txt
python -m pip install --quiet --no-deps -e .
