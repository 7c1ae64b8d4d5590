# Everything runs in .venv, which the first target that needs it makes; what needs Keras, in .venv-keras;
# pip-audit, in .venv-audit.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KERAS := .venv-keras
AUDIT := .venv-audit
DATA ?= ../shared

WORK ?= pretraining/work
DEVICE ?= cpu
# A machine with a GPU needs no more than torch, numpy and scipy.
PRETRAIN := PYTHONPATH=src:pretraining $(if $(filter cpu,$(DEVICE)),$(BIN)/python,$(PYTHON))

TEST := $(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/cluster

N ?= 1000
SEED ?= 1
FUZZ := PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(SEED) --folder fuzz-failures

.PHONY: help setup demo test test-all test-long coverage test-slurm test-keras fuzz fuzz-kills check bench bench-basin stress bench-scaling bench-year leaderboard pretrain ablation bench-convlstm reference docs clean

help:             ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## Make the environment in .venv

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup       ## Run the whole job on a simulated sea; results in demo/
	$(BIN)/sereno demo -o demo

test: setup       ## Run the tests; those that take long or another environment are left to test-all
	$(TEST) -m "not statistical and not thorough"

test-all: setup   ## Run every test: those of test, the long ones, on SLURM, against Keras
test-all: test test-long test-slurm test-keras

test-long: setup  ## Run the tests that make test leaves out for their length
	$(TEST) -m "statistical or thorough"

coverage: setup   ## Measure lines and branches of src/ that the tests run; the table lists what none does
	$(TEST) --cov --cov-report=term:skip-covered --cov-report=html

test-slurm: setup ## Run the tests on a real SLURM of one node; as root, with Debian's slurmctld, slurmd, munge
	$(BIN)/python -m pytest tests/cluster

test-keras: $(KERAS)/.ready  ## Compare the networks with Keras itself, in an environment of its own
	$(KERAS)/bin/python -m pytest tests/reference

$(KERAS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,keras]'
	@touch $@

fuzz: setup       ## Run N hostile inputs drawn from SEED; a table in fuzz.md, what failed in fuzz-failures/
	$(FUZZ) -n $(N) --table fuzz.md

fuzz-kills: setup ## Kill commands, run two at once, take away resources, by SEED; as root with full disks
	$(FUZZ) --kind kills -n 200 --table fuzz-kills.md
	$(FUZZ) --kind pairs -n 50 --table fuzz-pairs.md
	$(FUZZ) --kind resources -n 60 --table fuzz-resources.md

check: setup      ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: setup $(AUDIT)/.ready  ## Known vulnerabilities of the packages in .venv; asks a service, and says so where it cannot
	$(AUDIT)/bin/python tools/audit.py $(BIN)/python

$(AUDIT)/.ready:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7'
	@touch $@

bench: setup      ## Measure accuracy and speed on the benchmark cubes in $(DATA)
	$(BIN)/python benchmarks/accuracy.py $(DATA)/bench
	$(BIN)/python benchmarks/twin_sea.py $(DATA)/data

leaderboard: setup  ## Score every method on the benchmark cubes and twin seas, into docs/; MINUTES=N trains the networks
	$(BIN)/python benchmarks/leaderboard.py $(DATA)/bench $(if $(MINUTES),--minutes $(MINUTES)) --document docs/leaderboard.md

pretrain: $(if $(filter cpu,$(DEVICE)),setup)  ## Train the network of unet on simulated seas, in $(WORK), on DEVICE=cuda for MINUTES=15; continues where it stopped
	mkdir -p $(WORK)
	$(if $(filter cpu,$(DEVICE)),test -f $(WORK)/clouds.npz || test ! -d $(DATA)/data || $(PRETRAIN) pretraining/real_clouds.py $(DATA)/data $(WORK)/clouds.npz)
	$(PRETRAIN) pretraining/pretrain.py $(WORK)/training --device $(DEVICE) $(if $(MINUTES),--minutes $(MINUTES)) $$(test ! -f $(WORK)/clouds.npz || echo --clouds $(WORK)/clouds.npz)

ablation: setup   ## Measure what each idea of the network is worth, MINUTES of the processor each, in $(WORK)/ablation
	PYTHONPATH=src:pretraining $(BIN)/python benchmarks/ablation.py $(WORK)/ablation $(if $(MINUTES),--minutes $(MINUTES))

bench-basin: setup  ## Time the methods on the whole Mediterranean at 1/24°
	for method in interpolation oi oi-grid unet; do $(BIN)/python benchmarks/cost.py $$method; done
	$(BIN)/python benchmarks/dineof.py cost

stress: setup       ## Fill daily files into daily files by threads, 120 times, and compare every value: two hours
	$(BIN)/python benchmarks/stress_daily.py

bench-scaling: setup  ## Time and memory of every stage by days, pixels and workers, into docs/; continues where it stopped
	$(BIN)/python benchmarks/scaling.py

bench-year: setup   ## Fill a year of the whole Mediterranean at 1/24° by every method, into docs/: hours; continues where it stopped
	$(BIN)/python benchmarks/year.py --docs docs

bench-convlstm: setup $(KERAS)/.ready  ## Time the ConvLSTM against Keras on TensorFlow
	$(BIN)/python benchmarks/convlstm.py --keras $(KERAS)/bin/python

reference: setup  ## Train and score the five networks of the thesis on a twin sea and on tasmania_l3.nc: hours
	$(BIN)/python benchmarks/reference.py twin
	$(BIN)/python benchmarks/reference.py tasmania --bench $(DATA)/bench

docs: setup       ## Build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:            ## Remove what was built
	rm -rf $(VENV) $(KERAS) $(AUDIT) demo site
