# make demo: set up, then the whole study on simulated raters and tiny models. make test: set up, then the tests.
.PHONY: setup demo test check lock clean

PYTHON ?= python3.11
BIN = .venv/bin
SETUP = .venv/.done

setup: $(SETUP)

$(SETUP): pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --constraint requirements.lock --editable '.[dev]'
	touch $(SETUP)

demo: $(SETUP)
	$(BIN)/pluralign run demo

test: $(SETUP)
	$(BIN)/pytest -n 3

check: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/house.py
	$(BIN)/python tests/licences.py > /dev/null

# The versions in use, from a fresh environment with the newest that pyproject.toml allows.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --disable-pip-version-check --quiet '.[dev]'
	.venv-lock/bin/pip freeze --exclude pluralign | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv build *.egg-info
