# Every target sets itself up: it needs Python 3.11 or newer with venv, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
DEMO_READY := .venv/.demo-ready
OUT ?= hypersharp-demo

.PHONY: help demo test check docs bench clean

help:
	@echo "make demo   sharpen a real scene and show it, in $(OUT)/"
	@echo "make test   run the tests (HYPERSHARP_DATA=folder adds those on real scenes)"
	@echo "make check  ruff and mypy"
	@echo "make docs   build the documentation: open build/site/index.html"
	@echo "make bench  time, memory and share of the machine's own convolution speed"

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@ $(DEMO_READY)

# what the demo needs takes half as long to install
$(DEMO_READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

demo: $(DEMO_READY)
	$(BIN)/hypersharp demo -o $(OUT)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/site

bench: $(READY)
	$(BIN)/python benchmarks/fuse_speed.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
