# Two commands for newcomers: make demo, make test. Everything else is for those who stay.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench lock docs clean

demo: $(STAMP)            ## a whole rollout on this machine, in about a minute
	$(BIN)/canaryd demo $(ARGS)

test: $(STAMP)            ## every check that a change must pass
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)           ## figures, as ratios in one run where machines differ
	$(BIN)/python scripts/bench.py $(ARGS)

docs: $(STAMP)            ## write the reference pages that come from code
	$(BIN)/python scripts/reference.py

# Pinned with hashes and without any index's address: they install from whatever index a machine is set up with.
lock:
	uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --universal \
		--python-version 3.11 pyproject.toml -o requirements/run.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --universal \
		--python-version 3.11 pyproject.toml --group dev -o requirements/dev.txt

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
