# Two commands matter: `make run` and `make test`. Both set up .venv first, at once when it is current.

VENV ?= .venv
PORT ?= 8501
PYTEST_ARGS ?=
# A process a core; tests/conftest.py says which tests share one.
PARALLEL ?= -n auto --dist loadfile
BENCH_ARGS ?=
BIN := $(VENV)/bin
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first interpreter on the path that is new enough; `make PYTHON=/path/to/python` overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(OLD_ENOUGH)' 2>/dev/null && { echo $$p; break; }; done)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# What exists of these is checked; scripts and packages alike.
SOURCES = $(wildcard dal_core dal_ui benchmarks tests pages docs app.py)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow lint bench clean

help:
	@echo 'make run        start the app on http://localhost:$(PORT)'
	@echo 'make test       run the tests (PYTEST_ARGS="-k word" passes options on)'
	@echo 'make test-slow  run the slow tests too'
	@echo 'make lint       ruff, mypy and the floors of the rooms'
	@echo 'make bench      measure this machine against the reference implementation'
	@echo '                (BENCH_ARGS="--scaling --write FOLDER" adds workers, memory, JSON and plots)'
	@echo 'make clean      remove $(VENV) and what tools left behind; data/ and runs/ stay'

run: $(VENV)/.run-stamp
	$(BIN)/python -m streamlit run app.py --server.headless=true --server.port=$(PORT)

test: $(VENV)/.test-stamp
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-slow: $(VENV)/.test-stamp
	$(BIN)/python -m pytest $(PARALLEL) -m 'slow or not slow' $(PYTEST_ARGS)

lint: $(VENV)/.dev-stamp
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy $(SOURCES)
	$(BIN)/lint-imports

bench: $(VENV)/.run-stamp
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'dal needs Python 3.11 or newer: none was found. Install one, or say where it is: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c '$(OLD_ENOUGH)' || { echo "dal needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -f $@; echo 'The environment could not be made (Debian and Ubuntu: apt install python3-venv).' >&2; exit 1; }

$(VENV)/.run-stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (the first time takes a few minutes) ...'
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test-stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (the first time takes a few minutes) ...'
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.run-stamp

$(VENV)/.dev-stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[test,dev]'
	@touch $@ $(VENV)/.test-stamp $(VENV)/.run-stamp
