# Everything a person types; `make demo` and `make test` need nothing but Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo check test browser lint up cluster bench screens lock locked sbom audit help clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed ## the main job on the embedded demo source
	$(BIN)/qc init
	$(BIN)/qc demo

check: $(VENV)/.installed-test lint ## the fast loop: lint, types of what changed, tests without files
	$(BIN)/python -m pytest -q -m unit -n 2 --dist worksteal

# On two cores a third worker has what the others leave idle while they wait for servers, kills and clocks.
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

cluster: $(VENV)/.installed-cluster ## docs/deployment.md on this machine: PostgreSQL, MLflow, Dagster, two API servers
	$(BIN)/python -m deploy.cluster

bench: $(VENV)/.installed-test ## every benchmark, each a ratio
	$(BIN)/python -m benchmarks

# The same versions as constraints.txt, for every platform, with the sums of their files.
LOCKED := uv pip compile --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
	--constraint constraints.txt --extra test --extra s3 --extra cluster pyproject.toml

screens: $(VENV)/.installed-test ## the pictures of docs/tour.md, of what `make demo` made
	$(BIN)/python -m tests.screens

lock: $(VENV)/.installed-tools ## write requirements.lock anew, after constraints.txt or pyproject.toml changed
	$(VENV)/tools/bin/$(LOCKED) --quiet --output-file requirements.lock

locked: $(VENV)/bin/pip ## an environment of exactly the files of requirements.lock
	$(PIP) install --quiet --require-hashes --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .

sbom: $(VENV)/.installed-tools ## what requirements.lock names, as a CycloneDX document: sbom.json
	$(VENV)/tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json requirements.lock

audit: $(VENV)/.installed-tools ## known weaknesses of what requirements.lock names; says so where it could not look
	@$(VENV)/tools/bin/python -c 'import socket; socket.create_connection(("api.osv.dev", 443), 10)' 2> /dev/null \
		|| { echo "NOT AUDITED: api.osv.dev cannot be reached, so nothing is known of weaknesses"; exit 3; }
	$(VENV)/tools/bin/pip-audit --vulnerability-service osv --require-hashes --disable-pip --requirement requirements.lock

$(VENV)/.installed-tools: tools.txt | $(VENV)/bin/pip
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/pip --disable-pip-version-check install --quiet --requirement tools.txt
	touch $@

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.installed-cluster: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[cluster]'
	touch $@

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

clean: ## the environment and every state that can be made again; not the warehouse
	rm -rf $(VENV) .qc .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
