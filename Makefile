# `make` lists the targets. Each sets up what it needs: a virtual environment in .venv with the tested versions.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
# Each test file runs in one of so many processes: its tests share what is costly to make. tests/conftest.py orders them.
PYTEST := $(BIN)/python -m pytest --durations=20 --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

ifneq ($(shell command -v uv),)
CREATE := uv venv --quiet --python $(PYTHON) $(VENV)
INSTALL := uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
TAKES := with uv
else
# The pip that comes with Python 3.11 takes twice as long to find the versions and to unpack them.
CREATE := $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade --constraint constraints.txt pip
# What is imported is compiled then; compiling every file of every package here would take a minute more.
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --constraint constraints.txt
TAKES := with pip, which takes longer than uv would
endif

.DEFAULT_GOAL := help
.PHONY: help search test test-all lint docs bench chaos mutants

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

search: $(VENV)/.run ## a small search on the built-in sample, its report and a submission (4 to 8 minutes on 2 cores)
	$(BIN)/python search/run.py --name quickstart --budget 6 --max-epochs 6
	$(BIN)/python reports/run.py runs/quickstart

test: $(VENV)/.test ## the tests that need no system package and no long wait
	@echo "running the tests but for the long ones; make test-all runs those too"
	$(PYTEST) -m "not long"

test-all: $(VENV)/.dev ## every test: also hosts over SSH, PostgreSQL, outages, lost nodes and random kills
	$(PYTEST) -m "not long"
	@echo "running the long tests$(if $(LONG_MINUTES), and beginning none after $(LONG_MINUTES) minutes)"
	$(if $(LONG_MINUTES),TEST_MINUTES=$(LONG_MINUTES)) $(PYTEST) -rs -m long

lint: $(VENV)/.dev ## style, types and the import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## the documentation as pages in site/, without a dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(VENV)/.dev ## every benchmark, each with its baseline
	$(BIN)/python -m tests.benchmarks.engine_overhead
	$(BIN)/python -m tests.benchmarks.throughput
	$(BIN)/python -m tests.benchmarks.augmentation
	$(BIN)/python -m tests.benchmarks.submission
	$(BIN)/python -m tests.benchmarks.prediction.onnx_throughput
	$(BIN)/python -m tests.benchmarks.scale
	$(BIN)/python -m tests.benchmarks.cluster

chaos: $(VENV)/.dev ## kills parts of a search at random and checks its ledger (many minutes)
	$(BIN)/python -m tests.integration.chaos

mutants: $(VENV)/.dev ## changes the code in 400 small ways and counts which the quick tests notice
	$(BIN)/python -m tests.mutation

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	@echo "making a virtual environment in $(VENV)"
	@$(CREATE)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the project and what it needs ($(TAKES))"
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the project, what it needs and pytest ($(TAKES))"
	@$(INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing the project, what it needs and what its tests need ($(TAKES))"
	@$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.run $(VENV)/.test
