# Every target makes what it needs, from a fresh clone, with nothing but Python 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PACKAGE := pyproject.toml constraints.txt
SEEDS ?= 10000
ARGS ?=

.PHONY: help demo test lint check bench bench-llm sim clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.demo  ## real models, served and asked over HTTP (ARGS=--once ends by itself)
	$(BIN)/penstock demo $(ARGS)

test: .venv/.test  ## the tests (ARGS="tests/core -x")
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: .venv/.lint  ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## lint and test

bench: .venv/.bench  ## Penstock beside its peers; writes bench/RESULTS.md (ARGS="--rounds 5 --sustained")
	$(BIN)/python -m bench $(ARGS)

bench-llm: .venv/.bench  ## language models beside llama-server (built once, 10 minutes) and the raw engine
	$(BIN)/python -m bench.llm $(ARGS)

sim: .venv/.test  ## ten thousand random schedules through the scheduler and the router (SEEDS=10000)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)
	$(BIN)/python -m tests.simulation.routes --seeds $(SEEDS) $(ARGS)

clean:  ## forget the virtual environment and caches
	rm -rf .venv .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"

.venv/.demo: $(PACKAGE) | .venv/bin/python
	$(PIP) --editable ".[demo]"
	@touch $@

.venv/.test: $(PACKAGE) | .venv/bin/python
	$(PIP) --editable ".[all]" --group test
	@touch $@

.venv/.bench: $(PACKAGE) bench/requirements.txt | .venv/bin/python
	$(PIP) --editable ".[demo]" --requirement bench/requirements.txt
	@touch $@

.venv/.lint: $(PACKAGE) | .venv/bin/python
	$(PIP) --editable . --group lint
	@touch $@
