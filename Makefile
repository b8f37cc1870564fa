PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: help setup train test lint test-slow test-gpu test-slurm test-newest test-lowest bench notebooks docs dist clean

help:          ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(VENV)/.installed  ## a virtual environment with everything pinned in constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

train: setup   ## train the default, print its scores and where the pictures are
	$(BIN)/python -m vae_hydra.train

lint: setup    ## ruff, mypy, and that imports only go down
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Commands that tests start would otherwise compile the package anew where the environment asks for no compiled files.
test: lint     ## lint, types and tests, on up to four cores
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/$(PYTEST)

test-slow: setup  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-gpu: setup  ## on a machine with a GPU: its mathematics, runs, stacks and commands against those of the CPU
	VAE_HYDRA_TEST_DEVICE=gpu OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) -m "slow or not slow" tests/gpu tests/runs/test_stack.py

test-slurm: setup  ## disturbed sweeps on a SLURM of one node; as root, with the packages slurm-wlm and munge
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[slurm]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/slurm

test-newest:   ## the tests with the newest versions that pyproject.toml allows, in an environment of their own
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e '.[dev]'
	OMP_NUM_THREADS=1 .venv-newest/bin/$(PYTEST)

test-lowest:   ## the tests with the lowest versions that it allows
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[dev]'
	OMP_NUM_THREADS=1 .venv-lowest/bin/$(PYTEST)

bench: setup   ## an MNIST epoch against a bare torch loop; a sweep run by run, under joblib and in stacks
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/stacks.py
	$(BIN)/python benchmarks/sweep.py

notebooks: setup  ## train what the notebooks look at, a few minutes, and run them with their outputs
	$(BIN)/python -m vae_hydra.train -m sampler=normal,lognormal,inverse_gaussian,student_t seed=0,1,2 trainer.max_epochs=50 \
		output_dir=outputs/notebooks/samplers
	$(BIN)/python -m vae_hydra.train classifier=mlp classifier.labelled=0.1 classifier.weight=10 model.latent_dim=2 \
		trainer.max_epochs=100 output_dir=outputs/notebooks/semi_supervised
	$(BIN)/jupyter execute --inplace notebooks/*.ipynb

docs: setup    ## the site of the documentation, in site/; a warning is an error, and nothing is fetched
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

dist:          ## a wheel and a source distribution in dist/, checked as PyPI checks them; needs no other set-up
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip install --quiet --disable-pip-version-check build twine
	rm -rf dist build
	.venv-dist/bin/python -m build
	.venv-dist/bin/python -m twine check --strict dist/*

clean:         ## remove the virtual environment and caches, never runs or data
	rm -rf $(VENV) .venv-dist .venv-newest .venv-lowest .pytest_cache .mypy_cache .ruff_cache build dist site *.egg-info
