# Thin on purpose: a target says what runs, scripts/ knows how. `make help` lists them.

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup services serve test test-pure format lint imports types coverage conformance
.PHONY: autobahn autobahn-quick mutation sanitize fuzz chaos load bench bench-quick docs check

# A worker for each core, but not for each of a large machine that is shared; ARGS="-n 0" is none.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PURE := tests/unit tests/conformance tests/hazards tests/transports tests/sync

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

# One stamp for each extra that is installed into .venv: the second time costs nothing.
.venv/.installed-%: pyproject.toml setup.py scripts/install.sh scripts/constraints.txt $(wildcard rfc6455/_native/*.[ch])
	@bash scripts/install.sh $*

setup: .venv/.installed-dev .venv/.installed-docs ## Make .venv with all that development needs.

services: # What the tests need beside Python, where it can be installed.
	@bash scripts/services.sh

serve: .venv/.installed-server ## Run the chat server at http://localhost:8765.
	@exec $(BIN)/python -m server $(ARGS)

test: .venv/.installed-dev services ## Run every test; first install the services that they need where possible.
	@$(PYTEST) $(ARGS)

test-pure: .venv/.installed-dev ## Run the library's tests in pure Python, without the native twin.
	@RFC6455_PURE=1 $(PYTEST) $(PURE) $(ARGS)

format: .venv/.installed-dev ## Format the code and mend what ruff can mend.
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

lint: .venv/.installed-dev ## Check the format and the lint rules.
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

imports: .venv/.installed-dev ## Check that dependencies point one way.
	@$(BIN)/lint-imports

types: .venv/.installed-dev ## Check the types (mypy, strict).
	@$(BIN)/mypy

coverage: .venv/.installed-dev ## Demand that every branch of the core is run by the tests of its module.
	@RFC6455_PURE=1 $(BIN)/python scripts/coverage_by_module.py && $(BIN)/coverage report

conformance: .venv/.installed-dev ## Check that each clause of the RFCs that binds us has its test.
	@$(BIN)/python scripts/conformance.py --check

autobahn: .venv/.installed-dev ## Run Autobahn's test suite, and compare with what is expected.
	@$(BIN)/python tests/autobahn/run.py $(ARGS)

autobahn-quick: .venv/.installed-dev ## The same without the cases that take minutes.
	@$(BIN)/python tests/autobahn/run.py --quick $(ARGS)

mutation: .venv/.installed-dev ## Change the core in small ways; list what no test notices (takes minutes).
	@$(BIN)/python scripts/mutation.py $(ARGS)

sanitize: .venv/.installed-dev ## Run what drives the native twin under AddressSanitizer and UBSan.
	@bash scripts/sanitize.sh $(ARGS)

fuzz: .venv/.installed-fuzz ## Fuzz each boundary of the core, for SECONDS each (default 60).
	@$(BIN)/python -m fuzz.run --seconds $(or $(SECONDS),60) $(ARGS)

chaos: .venv/.installed-dev ## Kill the chat 200 times while people talk, and see that nothing is lost (takes minutes).
	@$(BIN)/python -m tests.chaos $(or $(ARGS),--kill 200)

load: .venv/.installed-dev ## Load a server in eight ways: ARGS="idle --seconds 60", or one of the others (see docs).
	@$(BIN)/python -m tests.load $(or $(ARGS),--help)

bench: .venv/.installed-bench ## Measure everything, ours beside the peers' (an hour and a quarter; ARGS=--list tells the parts).
	@$(BIN)/python -m bench $(ARGS)

bench-quick: .venv/.installed-bench ## A glance at every benchmark, in about two minutes.
	@$(BIN)/python -m bench --quick $(ARGS)

docs: .venv/.installed-docs ## Build the documentation into docs/_build/html; warnings are errors.
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

check: ## Do what continuous integration does.
	@bash .ci/run
