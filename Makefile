# `make demo` and `make test` need Python 3.11 or later with pip, and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LIGHT := $(VENV)/light
DEMO := checkpoints/demo
# Two files of tests run at a time; --dist loadfile lets the tests of a file share their fixtures.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
# Install $(2) into the environment $(1). uv takes a third of pip's time, but does not read pip's settings, such
# as another index; where it fails, pip is asked, which also says what is wrong.
install = $(BIN)/uv pip install --quiet --python $(1)/bin/python $(2) 2> /dev/null \
	|| $(1)/bin/python -m pip install --quiet $(2)

# Kernels of NumPy's BLAS, which round differently, each with the feature that the processor must have. The
# first one that is not this processor's own is tried; those are SkylakeX with AVX-512, and otherwise Haswell.
# Try all others with `make kernels ALL=yes`. TensorFlow's wheels need AVX, so only chargen-light meets older
# ones; try those with `make kernels KERNELS=Nehalem:sse4_2`.
KERNELS := Haswell:avx2 Sandybridge:avx
ALL :=

# If it is set, every process that the tests start compiles all modules again that pip did not compile.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test slow kernels lint types check light versions arm chromium docs dist clean

help:
	@echo "make demo   set up, train on corpora/fables.txt, print a sample and its score"
	@echo "make test   set up and run the tests that take seconds"
	@echo "make check  format, lint, types, every test, branch coverage"
	@echo "make clean  remove everything that these made, except checkpoints/"
	@echo "CONTRIBUTING.md describes the others; .ci/run runs what CI runs"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "chargen needs Python 3.11 or later; try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip uv

# If pyproject.toml is newer than a stamp, its dependencies may have changed, and they are installed again.
$(VENV)/run.stamp: $(BIN)/python pyproject.toml
	@echo "installing chargen and what it needs (TensorFlow is large: this can take minutes)"
	@$(call install,$(VENV),--editable .)
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python pyproject.toml
	@echo "installing chargen and what its tests need (TensorFlow is large: this can take minutes)"
	@$(call install,$(VENV),--editable '.[dev]')
	@touch $@ $(VENV)/run.stamp

demo: $(VENV)/run.stamp
	$(BIN)/chargen train corpora/fables.txt -o $(DEMO) --force
	@echo
	$(BIN)/chargen sample "The heron" -c $(DEMO) --length 600
	@echo
	$(BIN)/chargen evaluate -c $(DEMO)

test: $(VENV)/dev.stamp
	$(PYTEST) -m "not slow"

# If XLA_FLAGS is set, even to nothing, the tests compile as users do, and not in their own quicker way. Those
# of the models do, as they are about what is compiled.
slow: $(VENV)/dev.stamp
	XLA_FLAGS= $(PYTEST) -m slow tests/models
	$(PYTEST) -m slow --ignore tests/models

kernels: $(VENV)/dev.stamp
	@own=$$($(BIN)/python -c 'import numpy, threadpoolctl; \
		print([each["architecture"] for each in threadpoolctl.threadpool_info()])'); \
	for each in $(KERNELS); do \
		kernel=$${each%:*}; feature=$${each#*:}; \
		if echo "$$own" | grep -qw "$$kernel"; then \
			echo "skipped: kernels: $$kernel, because it is this processor's own, which the other tests use"; \
		elif grep -qw "$$feature" /proc/cpuinfo 2> /dev/null; then \
			OPENBLAS_CORETYPE=$$kernel $(PYTEST) -m "numeric and not slow" || exit 1; \
			[ "$(ALL)" ] || break; \
		else \
			echo "skipped: kernels: $$kernel, because this processor has no $$feature"; \
		fi; \
	done

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: $(VENV)/dev.stamp
	$(BIN)/mypy
	cd benchmarks && $(abspath $(BIN))/mypy --config-file mypy.ini .

check: lint types
	XLA_FLAGS= $(PYTEST) --cov --cov-report=term

# Install the package into an environment of its own, as a user does, and then what the tests need. These
# meet every command; the code in NumPy below the commands is the same as in `make test`.
# Tests that train are skipped when training fails; a process that such a test had started is then
# garbage-collected with a warning.
light: $(BIN)/python
	rm -rf $(LIGHT)
	$(BIN)/python -m venv $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet ./light
	@echo "chargen-light with its dependencies and pip: $$(du -sm $(LIGHT) | cut -f 1) MB"
	@$(call install,$(LIGHT),'./light[test]')
	PYTHONPATH=tests $(LIGHT)/bin/pytest -n 2 --dist loadfile -p light -m "not slow" \
		-W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning \
		tests/cli tests/test_concurrency.py tests/test_imports.py tests/test_model.py tests/test_packaging.py

# pyenv offers only the versions listed in PYENV_VERSION; Pythons that are missing are named and skipped.
versions: $(VENV)/dev.stamp
	PYENV_VERSION="$$(pyenv versions --bare 2> /dev/null | grep '^3[.]1[1-9]' | paste -s -d : -)" \
		UV_PYTHON_DOWNLOADS=never \
		$(BIN)/tox run-parallel --parallel auto --parallel-no-spinner

arm: $(VENV)/dev.stamp
	VENV=$(VENV) .ci/arm

# Tests open pages in Chromium, and are skipped where there is none. Without it, install Debian's package, or
# else what Playwright fetches; if neither can be had, say so.
chromium: $(VENV)/dev.stamp
	@for name in chromium chromium-browser google-chrome; do \
		command -v $$name && exit; \
	done; \
	root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	{ $$root apt-get -qq update && $$root apt-get -qq --yes --no-install-recommends install chromium; } \
		> /dev/null 2>&1 || $(BIN)/playwright install chromium > /dev/null 2>&1 \
		|| echo "skipped: chromium: no package of it could be installed"

$(VENV)/docs.stamp: $(BIN)/python pyproject.toml
	@$(call install,$(VENV),--editable '.[docs]')
	@touch $@

# A link that leads nowhere is a warning, and so an error.
docs: $(VENV)/docs.stamp
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html -c docs . site

dist: $(VENV)/dev.stamp
	rm -rf dist
	$(BIN)/python -m build --installer uv --outdir dist .
	$(BIN)/python -m build --installer uv --wheel --outdir dist light
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) .tox build dist site light/build
	rm -rf .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
