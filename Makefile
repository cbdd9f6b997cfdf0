# Every target sets up what it needs in .venv, once. Only Python 3.11 or newer, a C++ compiler and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*.cpp native/*.hpp)

.PHONY: setup demo test test-slow check bench docs clean

setup: $(INSTALLED)

$(INSTALLED): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-C cmake.define.STEPLOOM_WARNINGS_AS_ERRORS=ON -e '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/steploom demo

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file; done

# Writes docs/reference/command-line.md from the help pages, and the list of cells from their docstrings.
docs: $(INSTALLED)
	$(BIN)/python -m steploom.cli.reference docs/reference/command-line.md
	$(BIN)/python -m steploom.cells.page docs/concepts/cells.md

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
