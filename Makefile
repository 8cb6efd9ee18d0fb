# The environment is .venv; the exact versions that were tested, and their hashes, are in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
STATE ?= .evaluator
export EVALUATOR_HOME := $(abspath $(STATE))
# Nothing leaves the machine.
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test test-slow check docs charts wheels clean

# A file is run by one worker, so that what it builds for itself is built once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

help: ## Print what there is
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.installed ## Make the virtual environment and install everything into it

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --require-hashes --requirement constraints.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Audit five candidates on real flights, from nothing to the dashboard
	$(BIN)/evaluator demo

ui: setup ## Start the Dagster UI and daemon over the same state, at http://127.0.0.1:3000
	$(BIN)/evaluator ui

test: setup ## Run the tests, but for those of `make test-slow`
	$(PYTEST) -m "not slow"

test-slow: setup ## Run the tests that start clusters, servers or a candidate's every fault
	$(PYTEST) -m slow

check: setup ## Check style, types and which part imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## Write docs/audit-yaml.md anew from the models
	$(BIN)/python -m evaluator.spec._reference > docs/audit-yaml.md

# What of Observable Plot the page draws with, and each package that ends up in its script.
CHARTS := axisY, dot, line, plot, pointer, pointerX, pointerY, rect, ruleX, ruleY, tip
CHARTS_OF := @observablehq/plot@0.6.17 d3-array@3.2.5 d3-axis@3.0.1 d3-color@3.1.1 d3-format@3.1.3 d3-geo@3.1.2 \
	d3-interpolate@3.0.2 d3-path@3.1.1 d3-scale@4.0.3 d3-scale-chromatic@3.1.1 d3-selection@3.0.1 d3-shape@3.2.1 \
	d3-time@3.1.1 d3-time-format@4.1.1 internmap@2.0.3 isoformat@0.2.1

charts: ## Build the script that draws the page's charts anew, from npm's packages
	folder=$$(mktemp -d) && target=$$PWD/evaluator/reporting/templates/plot.min.js && cd $$folder && \
	npm install --silent --ignore-scripts $(CHARTS_OF) esbuild@0.28.2 && \
	{ echo '/*! $(CHARTS_OF)'; \
	  for one in $(CHARTS_OF); do cat node_modules/$${one%@*}/LICENSE; done | awk '!seen[$$0]++'; \
	  echo '*/'; echo '"use strict";'; \
	  echo 'export { $(CHARTS) } from "@observablehq/plot"' | \
	  node_modules/.bin/esbuild --bundle --minify --format=iife --global-name=Plot; } > $$target && \
	rm -r $$folder

wheels: setup ## Build the whole package and the one that only verifies, into dist/
	$(PIP) wheel --no-deps --wheel-dir dist . ./verify

clean: ## Remove the environment and the demo's state
	rm -rf .venv $(STATE)
