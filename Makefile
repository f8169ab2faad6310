# What a contributor runs. Needs Python 3.11 or newer and make; all the rest is put into .venv.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# 3.11 first: constraints.txt was made with it. Each candidate is run, as a name can be a dead shim.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && { echo $$name; break; }; done)

PYTEST := $(BIN)/python -m pytest -p tests.no_skips
# By file, as most files start a service once; the long ones first. Much of it is waiting.
# A process that dies is not replaced: the run ends, and names the test that was running in it.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# A test that hangs ends its process, which tells first where each thread is.
BOUNDED := -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true
# What uses one running service has it alone, so there is one lane for each broker.
LANES := $(MAKE) --jobs=2 --output-sync=line

# Hundreds of processes read the same modules: what one has compiled, the others need not.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-gpu test-services faults faults-rows faults-short lint types fmt bench bench-engine bench-queue bench-fairness bench-listing bench-litserve bench-memory bench-gpu docs constraints

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found; name one: make PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet \
		--constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: venv ## Caption the example pictures through the whole service.
	$(BIN)/python -m scripts.demo

test: venv ## Run the unit, integration and end-to-end tests; a skipped test fails the run.
	$(PYTEST) $(SIDE_BY_SIDE) $(BOUNDED)

test-gpu: ## Run the tests that need a GPU, with a Python that has torch, transformers and pytest.
	$(or $(GPU_PYTHON),python3) -m pytest tests/gpu

test-services: venv ## Run the integration tests on the Postgres, Redis and RabbitMQ that you name.
	@: $${CAPTIONER_TEST_POSTGRES_URL:?} $${CAPTIONER_TEST_REDIS_URL:?} $${CAPTIONER_TEST_AMQP_URL:?}
	$(LANES) services-redis services-rabbitmq

services-%: venv
	CAPTIONER_TEST_STACKS=postgres-$* $(PYTEST) $(BOUNDED) $(or $(ONLY),tests/integration)

faults-short: venv ## Three minutes of chaos, on Redis and on RabbitMQ.
	$(LANES) short-rabbitmq short-redis

faults-rows: venv ## The short form of each row of the fault matrix.
	$(LANES) rows-workers rows-rabbitmq rows-others

WHERE_rabbitmq := rabbitmq
WHERE_redis := not rabbitmq
WHERE_workers := test_rows_workers and not rabbitmq
WHERE_others := not test_rows_workers and not rabbitmq

short-%: venv
	$(PYTEST) $(BOUNDED) tests/faults/test_short.py -k '$(WHERE_$*)'

rows-%: venv
	$(PYTEST) $(BOUNDED) tests/faults -m 'not long' -k '$(WHERE_$*) and not test_short'

faults: venv ## Break it in every way, for about an hour; the table goes to benchmarks/results.
	FAULTS_KEEP=faults $(PYTEST) tests/faults

lint: venv ## Check style, import rules, file lengths, Dockerfiles and the compose file.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@find . -name '*.py' -not -path './$(VENV)/*' -exec awk \
		'FNR == 301 { print FILENAME " has more than 300 lines"; bad = 1 } END { exit bad }' {} +
	$(BIN)/hadolint Dockerfile.api Dockerfile.worker
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

types: venv ## Check the types (mypy, strict).
	$(BIN)/mypy

fmt: venv ## Format the code and mend what ruff can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## Measure, and write the figures to benchmarks/results.
	$(BIN)/python -m benchmarks

bench-engine: venv ## BLIP-base in its real size: the usual call, and ours.
	$(BIN)/python -m benchmarks engine

bench-queue: venv ## What the queue costs: the whole service around an engine that costs nothing.
	$(BIN)/python -m benchmarks queue

bench-fairness: venv ## Single pictures beside a job of thousands, with engines of three kinds.
	$(BIN)/python -m benchmarks fairness

bench-listing: venv ## Lists and statistics over a million jobs.
	$(BIN)/python -m benchmarks listing

bench-litserve: venv ## The same load on LitServe, and on ours, in one run.
	$(BIN)/python -m benchmarks litserve

bench-memory: venv ## What the processes hold over 10,000 pictures.
	$(BIN)/python -m benchmarks memory

bench-gpu: ## BLIP-base on a GPU, with a Python that has torch, transformers, numpy and pillow.
	$(or $(GPU_PYTHON),python3) -m benchmarks gpu

docs: venv ## Build the documentation into site/; a warning fails the build.
	$(BIN)/python -m scripts.docs_settings
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

constraints: ## Take the newest versions that fit, in a new environment, and pin them.
	sh scripts/pin.sh $(PYTHON)
