# Everything a person types; `make demo` and `make test` need nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo check test browser lint up bench help clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed ## the main job on the embedded demo source
	$(BIN)/qc init
	$(BIN)/qc demo

check: $(VENV)/.installed-test lint ## the fast loop: lint, types of what changed, unit tests
	$(BIN)/python -m pytest -q -m unit -n 2 --dist worksteal

test: $(VENV)/.installed-test lint browser ## lint, types and all tests
	$(BIN)/qc init
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The browser test skips itself where there is no Chromium; a CI machine gets one.
browser:
	@if [ -n "$$CI" ] && ! command -v chromium > /dev/null && command -v apt-get > /dev/null; then \
		(apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) > /dev/null 2>&1 \
			|| echo "Chromium could not be installed: the browser test will be skipped"; \
	fi

lint: $(VENV)/.installed-test ## style, imports, SQL, types; mypy looks again only at what changed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/sqruff lint warehouse
	$(BIN)/mypy

up: $(VENV)/.installed ## Dagster, MLflow and the API side by side; Ctrl-C stops all
	$(BIN)/qc init
	$(BIN)/qc up

bench: $(VENV)/.installed-test ## every benchmark, each a ratio
	$(BIN)/python -m benchmarks

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

clean: ## the environment and every state that can be made again; not the warehouse
	rm -rf $(VENV) .qc .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
