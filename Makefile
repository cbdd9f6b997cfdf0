# Every target sets up what it needs in .venv, once. Only Python 3.11 or newer, a C++ compiler and make must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*.cpp native/*.hpp)

.PHONY: setup demo test test-slow test-native check bench docs clean

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

# The tests of the core without Python: as it is, and under the sanitizers. malloc_fill_byte: unwritten memory is NaN.
test-native:
	set -e; for kind in none address,undefined thread; do \
		echo "== sanitizer: $$kind"; folder=build/native-tests-$${kind%,*}; \
		cmake -S . -B $$folder -DSTEPLOOM_NATIVE_TESTS=ON -DSTEPLOOM_SANITIZE=$$(test $$kind = none || echo $$kind) > /dev/null; \
		cmake --build $$folder; \
		ASAN_OPTIONS=malloc_fill_byte=255:max_malloc_fill_size=100000000 $$folder/native_tests; \
	done

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# JAX takes part where JAX_PYTHON names an interpreter that has it: make bench JAX_PYTHON=path/to/python
JAX := $(if $(JAX_PYTHON),--jax-python $(JAX_PYTHON))
bench: $(INSTALLED)
	$(BIN)/python benchmarks/layers.py $(JAX)
	$(BIN)/python benchmarks/cells.py
	$(BIN)/python benchmarks/lengths.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/table.py

# Writes docs/reference/command-line.md from the help pages, and the list of cells from their docstrings.
docs: $(INSTALLED)
	$(BIN)/python -m steploom.cli.reference docs/reference/command-line.md
	$(BIN)/python -m steploom.cells.page docs/concepts/cells.md

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
