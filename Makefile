# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared

.PHONY: help setup demo test check bench docs clean

help:             ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Make the environment in .venv

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup       ## Run the whole job on a simulated sea; results in demo/
	$(BIN)/sereno demo -o demo

test: setup       ## Run the tests
	$(BIN)/python -m pytest -n 2

check: setup      ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup      ## Measure accuracy and speed on the benchmark cubes in $(DATA)
	$(BIN)/python benchmarks/accuracy.py $(DATA)/bench
	$(BIN)/python benchmarks/twin_sea.py $(DATA)/data

docs: setup       ## Build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:            ## Remove what was built
	rm -rf $(VENV) demo site
