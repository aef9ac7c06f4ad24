# Two commands: `make lab` sets everything up and opens the lab; `make test` sets everything up and passes the tests.

PYTHON3 ?= python3
LABKIT = .venv/bin/labkit
NOTEBOOK ?= 01_first_digit.ipynb
ENGINE ?= spark

ROOM ?= build/room
ifdef STACK
export LABKIT_STACK := $(STACK)
endif
ifdef MIRROR
export LABKIT_MIRROR := $(MIRROR)
endif

# Images of containers like to set it. Each process would then compile TensorFlow's modules anew: three times the start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab room serve-room demo test test-all pytest pytest-all pytest-beside pytest-beside-all pytest-faults lint notebooks exercises cluster cluster-down pictures bench chaos setup setup-dev chromium nftables down lock help

help:
	@echo "make lab    set up, start the servers, open JupyterLab; with STACK=compose the servers run in containers"
	@echo "make room   gather all that the lab fetches, for a room without internet; make serve-room serves it"
	@echo "make demo   the whole way without a browser, measured"
	@echo "make test   set up and run the tests"
	@echo "make test-all   these, and those that take longest: images of Binder and JupyterLab, clusters, each way on each stack,"
	@echo "                 each notebook by papermill and by nbval, as it is"
	@echo "make notebooks   run every solution, store its outputs, make the exercises"
	@echo "make exercises   make the exercise notebooks from their solutions"
	@echo "make bench   every way from a row to its prediction, side by side: docs/bench.md, build/bench.json"
	@echo "make chaos   faults on every part of a lab, drawn by seeds: SEED=1 RUNS=20; build/chaos.json"
	@echo "make pictures    take the documents' pictures anew"
	@echo "make down   stop the servers and delete their data"
	@echo "make cluster   with Docker, start a cluster for an engine: ENGINE=spark or flink; make cluster-down ends it"

lab: setup
	@$(LABKIT) lab $(NOTEBOOK)

room: setup
	@.venv/bin/python tools/room.py fill $(ROOM)

serve-room: setup
	@.venv/bin/python tools/room.py serve $(ROOM)

demo: setup
	@$(LABKIT) demo

notebooks: setup-dev
	@$(LABKIT) up
	@.venv/bin/python tools/run_notebooks.py
	@.venv/bin/python -m tools.make_exercises

exercises: setup-dev
	@.venv/bin/python -m tools.make_exercises

down:
	@$(LABKIT) down

# The lab's folder has to be there before a container can share it.
CLUSTER = LAB_UID=$$(id -u) LAB_GID=$$(id -g) docker compose --file docker/engines.yml
cluster cluster-down: export LABKIT_HOME ?= $(CURDIR)/.labkit
cluster:
	@mkdir -p "$(LABKIT_HOME)"
	@$(CLUSTER) --profile $(ENGINE) up --build --detach --wait

cluster-down:
	@$(CLUSTER) --profile spark --profile flink down

bench: setup-dev
	@.venv/bin/python -m benchmarks.bench

SEED ?= 1
RUNS ?= 20
chaos: setup-dev nftables
	@.venv/bin/python -m tests.chaos --seed $(SEED) --runs $(RUNS)

pictures: setup-dev chromium
	@.venv/bin/python -m tools.pictures

setup:
	@$(PYTHON3) tools/bootstrap.py requirements.txt

setup-dev:
	@$(PYTHON3) tools/bootstrap.py requirements-dev.txt

chromium:
	@$(PYTHON3) tools/chromium.py

nftables:
	@$(PYTHON3) tools/nftables.py

# Side by side: most tests; the lessons, and after them some modules; the faults, which mostly wait; and the type checker.
test test-all: setup-dev chromium nftables
	@$(MAKE) --no-print-directory --jobs=4 lint $(subst test,pytest,$@) $(subst test,pytest-beside,$@) pytest-faults

# A test that calls make itself must not look for this one's jobs.
PYTEST = env -u MAKEFLAGS .venv/bin/python -m pytest
pytest:
	$(PYTEST) -m "not on_demand and not beside and not faults"

pytest-beside:
	$(PYTEST) -m "not on_demand and beside"

pytest-all:
	$(PYTEST) -m "not beside and not faults"

pytest-beside-all:
	$(PYTEST) -m beside

pytest-faults: setup-dev nftables
	$(PYTEST) -m faults

lint: setup-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports

# Locks name no index: whoever installs uses their own.
COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"
lock: setup-dev
	$(COMPILE) pyproject.toml --extra setup -o requirements.txt
	$(COMPILE) pyproject.toml --extra setup --extra dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) labkit/engines/spark.in -o labkit/engines/spark.txt
	$(COMPILE) labkit/engines/flink.in -o labkit/engines/flink.txt
	$(COMPILE) benchmarks/ways/peers.in -o benchmarks/ways/peers.txt
	echo "uv==0.13.9" | $(COMPILE) - -o requirements-uv.txt
	.venv/bin/python tools/lock_artifacts.py
