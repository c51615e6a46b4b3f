# Every target sets itself up: it needs Python 3.11 or newer with venv, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# pip compiles one file after the other, and the tests of all packages; this takes all cores, and leaves these out
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '[/\\]tests?[/\\]' .venv/lib > /dev/null || true
READY := .venv/.ready
DEMO_READY := .venv/.demo-ready
WEIGHTS := packages/hypersharp-weights
# the processes that tests start would compile the package again, each of them, where bytecode is not kept
TEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto
OUT ?= hypersharp-demo
COUNT ?= 20000

.PHONY: help demo test fuzz check coverage docs notebooks dist qgis qgis-test bench clean

help:
	@echo "make demo      sharpen a real scene and show it, in $(OUT)/"
	@echo "make test      run the tests (HYPERSHARP_DATA=folder adds those on real scenes)"
	@echo "make fuzz      COUNT damaged files (default 20000), runs into one output, a crowd of visitors, and how each was answered"
	@echo "make check     ruff, its format, mypy, and the Dockerfile"
	@echo "make coverage  run the tests and say which lines they reach: open build/coverage/index.html"
	@echo "make docs      build the documentation: open build/site/index.html"
	@echo "make notebooks  one of each product pair into build/notebooks/, and run them: two minutes"
	@echo "make dist      build both packages into dist/, twice and the same, check them, run the demo from the wheels in an empty environment"
	@echo "make qgis      the QGIS plugin as a zip file, into dist/; make qgis-test tries it in QGIS"
	@echo "make bench     time, memory and share of the machine's own convolution speed"

$(READY): pyproject.toml constraints.txt $(WEIGHTS)/pyproject.toml
	@echo "installing into .venv, once: this takes some minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --upgrade pip # --group needs 25.1 or newer
	$(INSTALL) -e '.[all]' -e $(WEIGHTS) --group dev
	$(COMPILE)
	touch $@ $(DEMO_READY)

# what the demo needs takes half as long to install
$(DEMO_READY): pyproject.toml constraints.txt
	@echo "installing into .venv, once: this takes some minutes"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[demo]'
	$(COMPILE)
	touch $@

demo: $(DEMO_READY)
	$(BIN)/hypersharp demo -o $(OUT)

test: $(READY)
	$(TEST) --dist loadfile --no-loadscope-reorder

fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --count $(COUNT)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.races
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.crowd

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

coverage: $(READY)
	$(TEST) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/site

notebooks: $(READY)
	rm -rf build/notebooks
	$(BIN)/python tools/make_notebooks.py build/notebooks
	cd build/notebooks && PATH=$(CURDIR)/$(BIN):$$PATH $(CURDIR)/$(BIN)/jupyter-execute *.ipynb

dist: $(READY)
	rm -rf build/wheel-test
	$(BIN)/python tools/build_twice.py dist
	$(BIN)/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python tools/try_wheels.py dist build/wheel-test

qgis:
	$(PYTHON) tools/zip_qgis.py dist

# with QGIS's own Python; it needs QGIS 3.22 or newer installed
qgis-test: $(READY)
	env -u PYTHONPATH PATH=/usr/bin:/bin python3 qgis/tests/try_in_qgis.py $(CURDIR)/$(BIN)/hypersharp build/qgis

bench: $(READY)
	$(BIN)/python benchmarks/fuse_speed.py

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
