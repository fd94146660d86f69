# One line per task. `make quickstart` and `make test` install what is missing first.
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.qe/bin:$(PATH)
CODE := src tests scripts

.PHONY: help setup quickstart test lint docs lock clean

help:            ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup:           ## install what is missing: .venv, pw.x, a pseudopotential, MACE's weights
	@envs/setup.sh python espresso surrogate

quickstart: setup ## a silicon potential end to end, in some minutes
	@snakemake --profile profiles/default --configfile config/examples/quickstart.yaml

test: setup      ## the test suite (and Slurm for its test, where apt works)
	@envs/setup.sh slurm
	@python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup      ## ruff, mypy, snakefmt, snakemake --lint
	@ruff check $(CODE) && ruff format --check $(CODE) && mypy && snakefmt --check workflow && snakemake --lint

docs: setup      ## renew the generated pages: docs/config.md, docs/summary.md, the schema
	@python -m mlip_autopipec.reference

lock:            ## renew envs/requirements.txt from what is installed
	@{ head -n 1 envs/requirements.txt; python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > envs/requirements.new && mv envs/requirements.new envs/requirements.txt

clean:           ## remove results (asks nothing)
	@rm -rf results .snakemake
