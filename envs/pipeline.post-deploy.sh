#!/usr/bin/env bash
# Runs in the environment that `snakemake --sdm conda` has just made, from the project's folder.
set -euo pipefail
python -m pip install --quiet -r envs/requirements.txt
python -m pip install --quiet --no-deps -e .
