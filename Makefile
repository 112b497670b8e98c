# `make run` and `make test` need only Python 3.11 or newer. They install everything else into .venv.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The first of these commands that is Python 3.11 or newer; `make run PYTHON=…` overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PYTEST_ARGS ?=
# Without stored bytecode, each process compiles every module again: pytest needs 14 s more until its first test.
unexport PYTHONDONTWRITEBYTECODE
# Many tests wait for processes and timers, so three at a time keep two cores busy.
# $(call pytest,PYTHON,ARGUMENTS): exit code 5 (no test was selected) is not a failure, because PYTEST_ARGS may select none
pytest = { $(1) -m pytest $(2) $(PYTEST_ARGS) || [ $$? = 5 ]; }
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --group build $(LOCK_ARGS)

.PHONY: help run pages dumps audit sbom test test-fast test-units test-processes test-shards lint import-graph lock bench telemetry big many clients drill soak hosts soak-cluster soak-operators soak-versions short-runs differential templates mutants clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/runtime.stamp  ## Install the requirements, and start a Valkey, a web process and a worker
	@exec $(BIN)/slipway dev

test: lint  ## Check the code and run the whole suite
	@$(MAKE) --no-print-directory test-units; first=$$?; \
	$(MAKE) --no-print-directory test-processes; second=$$?; \
	exit $$((first > second ? first : second))

test-fast: $(VENV)/dev.stamp  ## Run the tests that need nothing or only a Valkey
	@$(call pytest,$(BIN)/python,--numprocesses 3 -m "not processes and not slow")

test-units: $(VENV)/dev.stamp  ## Run the tests that do not kill whole servers, three at a time
	@$(call pytest,$(BIN)/python,--numprocesses 3 -m "not alone")

test-processes: $(VENV)/dev.stamp  ## Run the tests that kill whole servers, three files at a time
	@$(call pytest,$(BIN)/python,--numprocesses 3 --dist loadscope --no-loadscope-reorder -m alone)

# The core: what is divided among shards, or looks into all of them
SHARDED := $(addprefix tests/,checkpoints crons indexes metrics redis reviews runs shared_records waiting_reasons webhooks)
test-shards: $(VENV)/dev.stamp  ## Run the core of the tests with 8 shards on one Valkey, without those that start processes
	@export SLIPWAY_TEST_SHARDS=8; $(call pytest,$(BIN)/python,--numprocesses 3 -m "not processes and not slow" $(SHARDED))

lint: $(VENV)/dev.stamp  ## Run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

import-graph: $(VENV)/dev.stamp  ## Print which package imports which; fails when an import points upwards or modules form a cycle
	@$(BIN)/python -m tests.import_graph

pages: $(VENV)/dev.stamp  ## Write the generated pages and tables: settings, keys, attacks, planted faults, folders
	@$(BIN)/python -m tests.generated_pages

dumps: $(VENV)/dev.stamp  ## Store the threads of a deployment of this release at each kind of pause, for the tests of later releases
	@$(BIN)/python -m tests.compat.make_dumps

lock: $(VENV)/dev.stamp  ## Pin the requirements again (LOCK_ARGS=--upgrade pins newer versions)
	$(LOCK) --output-file requirements.txt
	$(LOCK) --output-file requirements-dev.txt --constraint requirements.txt --group dev --all-extras
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(LOCK_ARGS) --group sbom --constraint requirements-dev.txt --output-file requirements-sbom.txt

audit: $(VENV)/dev.stamp  ## Compare the pinned requirements with known vulnerabilities, if a service that lists them can be reached
	@$(BIN)/python -m tests.supply.audit

sbom: $(VENV)/dev.stamp  ## Write sbom.cdx.json: all requirements in CycloneDX; the image has its own, of what is installed in it
	@$(BIN)/python -W ignore -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file sbom.cdx.json

bench: $(VENV)/dev.stamp  ## Measure speed, memory and cost, compared with the bare graph
	$(BIN)/python -m tests.bench

big: $(VENV)/dev.stamp  ## Measure long and large threads, and how long they delay small runs (BIG_ARGS="--repeat 1")
	$(BIN)/python -m tests.bench big delays $(BIG_ARGS)

many: $(VENV)/dev.stamp  ## Measure what operations cost among 100,000 queued runs, and 500 runs per second
	$(BIN)/python -m tests.bench many sleepers $(MANY_ARGS)

clients: $(VENV)/dev.stamp  ## Measure 10,000 idle clients, and 1,000 clients of a busy run, on one web process (CLIENTS_ARGS="--repeat 1")
	$(BIN)/python -m tests.bench clients $(CLIENTS_ARGS)

soak: $(VENV)/dev.stamp  ## Execute 500 runs while a process is killed every second (SOAK_ARGS="--seed 7 --long-runs")
	$(BIN)/python -m tests.crash.soak $(SOAK_ARGS)

hosts: $(VENV)/dev.stamp  ## Cut hosts off and heal them for 2 minutes, with clocks that differ; needs root (HOSTS_ARGS="--seed 7")
	$(BIN)/python -m tests.hosts.drill $(HOSTS_ARGS)

soak-cluster: $(VENV)/dev.stamp  ## Execute 300 runs on a cluster while processes and primaries are killed and slots move (SOAK_ARGS="--seed 7")
	$(BIN)/python -m tests.crash.cluster_soak $(SOAK_ARGS)

soak-operators: $(VENV)/dev.stamp  ## Operate and review runs whose tools act, for 3 minutes, while a process is killed every second (SOAK_ARGS="--seed 7")
	$(BIN)/python -m tests.crash.operated_histories $(SOAK_ARGS)

soak-versions: $(VENV)/dev.stamp  ## Execute 100 random histories of deploys, resumes, rollbacks and crashes (SEEDS=500)
	SLIPWAY_TEST_SEEDS=$(or $(SEEDS),100) $(BIN)/python -m pytest -q --numprocesses 3 tests/version_drills/test_histories.py

drill: $(VENV)/dev.stamp  ## Drill a deploy with 500 threads at pauses, print its table, and create 10,000 threads during a rollout
	$(BIN)/python -m tests.version_drills.drill $(or $(THREADS_PER_PAUSE),50)
	SLIPWAY_TEST_THREADS=10000 $(BIN)/python -m pytest -q -o timeout=600 tests/version_drills/test_shares.py

telemetry: $(VENV)/dev.stamp  ## Measure what traces, metrics and log lines cost (TELEMETRY_ARGS="on --starts 12")
	$(BIN)/python -m tests.bench.telemetry $(TELEMETRY_ARGS)

small-server: $(VENV)/dev.stamp  ## Fill a Redis of 25 MB with bursts of runs (SMALL_SERVER_ARGS=--seconds 30)
	$(BIN)/python -m tests.small_server $(SMALL_SERVER_ARGS)

mutants: $(VENV)/dev.stamp  ## Plant small faults in a copy of the code; the tests must notice each one (MUTANTS_ARGS="--only lease")
	$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

differential: $(VENV)/dev.stamp  ## Send the same requests to the reference server and to Slipway (DIFFERENTIAL_ARGS=--only=streams)
	$(BIN)/python -m tests.differential $(DIFFERENTIAL_ARGS)

templates: $(VENV)/dev.stamp  ## Serve unmodified public templates (TEMPLATES=a folder with their checkouts)
	$(BIN)/python -m tests.templates $(TEMPLATES)

short-runs: $(VENV)/dev.stamp  ## Execute 200 short runs by useStream in Chromium, over a WebSocket (SHORT_RUNS_ARGS="--transport sse")
	@test -d tests/js/node_modules || (cd tests/js && npm ci)
	$(BIN)/python -m tests.js.short_runs $(SHORT_RUNS_ARGS)

clean:  ## Delete .venv, packages and caches; the data in .slipway stay
	rm -rf $(VENV) .differential .templates tests/js/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Slipway needs Python 3.11 or newer; none was found. Install one, or name its path: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/runtime.stamp: requirements.txt pyproject.toml | $(BIN)/python
	@echo "installing what Slipway needs into $(VENV) …"
	@$(PIP) install --require-hashes --requirement requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# uv needs a third of pip's CPU; it fails where only pip is configured to reach a package index
$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp | $(BIN)/uv
	@echo "installing what the tests need into $(VENV) …"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements-dev.txt || \
		$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@

$(BIN)/uv: | $(BIN)/python
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >$(VENV)/uv.txt
	@$(PIP) install --require-hashes --requirement $(VENV)/uv.txt
