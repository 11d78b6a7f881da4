# make run    fresh machine -> running service on embedded parts, with a simulated building when there is no SEAM_API_KEY
# make test   fresh machine -> the whole everyday suite on real Redis, SQLite and PostgreSQL
# Needs only Python 3.11-3.13, make and git. Everything else is installed into $(VENV).
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
AT_ONCE ?= 4

.PHONY: run test test-slow proof test-peer test-containers test-browser pictures test-all lint format bench lock clean help
.DEFAULT_GOAL := help

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: $(VENV)/.installed  ## the whole service on this machine; Ctrl-C ends it and keeps the data
	@exec $(BIN)/seamkeeper dev $(ARGS)

test: $(VENV)/.dev       ## the everyday suite
	$(BIN)/python -m pytest -n $(AT_ONCE) --dist worksteal -m "not peer and not containers and not slow and not proof and not browser" $(ARGS)

test-slow: $(VENV)/.dev  ## what takes longer than a few seconds: kills, restarts, recovery
	$(BIN)/python -m pytest -m slow $(ARGS)

proof: $(VENV)/.dev      ## the large sizes of docs/proof.md, about an hour; each prints its seed
	$(BIN)/python -m pytest -s -m proof $(ARGS)

test-peer: $(VENV)/.dev  ## against Seam's own fake and Svix's own signer, from npm (needs Node 18 or newer)
	npm ci --prefix tests/peer --no-audit --no-fund --loglevel error
	$(BIN)/python -m pytest -m peer $(ARGS)

test-containers: $(VENV)/.dev  ## the compose stack in real containers (needs a Docker engine with Compose v2)
	$(BIN)/python -m pytest -m containers $(ARGS)

lint: $(VENV)/.dev       ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev     ## let ruff order and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev $(VENV)/peers/.installed  ## the tables of docs/proof.md, measured here and now
	$(BIN)/python -m bench $(ARGS)

test-browser: $(VENV)/.browser  ## the console in a real browser (needs Chromium on PATH)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m browser $(ARGS)

pictures: $(VENV)/.browser  ## docs/pictures anew, of a simulated building in trouble (needs Chromium on PATH)
	$(BIN)/python -m tests.browser.pictures $(ARGS)

test-all: $(VENV)/.browser  ## the everyday suite, the slow ones, the peers and the browser in one go, as CI does
	npm ci --prefix tests/peer --no-audit --no-fund --loglevel error
	$(BIN)/python -m pytest -n $(AT_ONCE) --dist worksteal -m "not containers and not proof" $(ARGS)

lock: $(VENV)/.dev       ## new exact versions for the requirements*.lock files
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
	  --no-header --extra local --extra notify -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
	  --no-header --extra local --extra notify --group dev -o requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
	  --no-header --extra local --extra notify --group browser -o requirements-browser.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
	  --no-header --python-version 3.11 --only-binary :all: --group pyproject.toml:bench -o requirements-bench.lock

clean:           ## remove the virtual environment and caches, never the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

$(VENV)/.browser: requirements-browser.lock $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-browser.lock
	@touch $@

# The queues that `make bench` compares ours with: in an environment of their own, since arq wants an older Redis client.
$(VENV)/peers/.installed: requirements-bench.lock | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/pip install --quiet --disable-pip-version-check -r requirements-bench.lock
	@touch $@
