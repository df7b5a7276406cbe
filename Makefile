# `make` lists the targets. Each sets up what it needs: a virtual environment in .venv with the tested versions.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help search test lint bench chaos

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

search: $(VENV)/.run ## a small search on the built-in sample, its report and a submission (under 6 minutes on 2 cores)
	$(BIN)/python search/run.py --name quickstart --budget 6 --max-epochs 6
	$(BIN)/python reports/run.py runs/quickstart

test: $(VENV)/.dev ## the whole test suite
	$(BIN)/python -m pytest

lint: $(VENV)/.dev ## style, types and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev ## every benchmark, each with its baseline
	$(BIN)/python -m tests.benchmarks.engine_overhead
	$(BIN)/python -m tests.benchmarks.throughput
	$(BIN)/python -m tests.benchmarks.augmentation
	$(BIN)/python -m tests.benchmarks.submission
	$(BIN)/python -m tests.benchmarks.scale
	$(BIN)/python -m tests.benchmarks.cluster

chaos: $(VENV)/.dev ## kills parts of a search at random and checks its ledger (many minutes)
	$(BIN)/python -m tests.integration.chaos

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.run
