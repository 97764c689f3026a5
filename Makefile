# SPDX-License-Identifier: Apache-2.0
# Every target sets up what it needs, inside the checkout. `make help` lists them.

# Under another name, so that `make -n` starts none.
SUBMAKE = $(MAKE) --no-print-directory

SHELL = /bin/bash
.SHELLFLAGS = -euo pipefail -c
.DEFAULT_GOAL = help
.NOTPARALLEL:

PYTHON ?= python3
UV = .tools/uv/bin/uv
BIN = .venv/bin

# Heat's releases that the plugins are tested with. The newest is the development environment's.
RELEASES = 22 23 24 25 26 27
OLDEST = $(firstword $(RELEASES))
NEWEST = $(lastword $(RELEASES))

CONSTRAINTS = lab/constraints.txt tools/constraints.txt
PACKAGE = setup.cfg setup.py pyproject.toml requirements.txt
WITHOUT_CLOUD = tests/unit tests/plugin
SERVERS_IN_THREADS = tests/unit/regions/adapters/test_heat_client.py

# One long test at the end of a worker's share would keep it busy alone, so shares are stolen.
ON_ALL_CORES = -n auto --dist worksteal

# How many files with plugin tests one process gets, where these run in several.
FILES_AT_ONCE = 5

# What `make test` runs on the lab. Most of a test's time is waiting, so several use it at once,
# but for those that disturb others or count what is there.
ON_LAB = functional and not thorough and not regions and not real
AT_ONCE = 3

NAME ?=
RUNS ?=
SEED ?=
REAL ?=

-include lab/lab.mk

.PHONY: help dev unit engine lint test functional thorough regions real matrix docs demo bench chaos wheel clean

help: ## List the targets.
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 14

dev: .venv/stamp ## Make the development environment, .venv.

unit: dev ## Run the unit and plugin tests on the newest Heat; no cloud.
	$(BIN)/python -W ignore -m tests.heat_own.run
	$(BIN)/pytest $(ON_ALL_CORES) -m 'not functional and not engine' $(WITHOUT_CLOUD)

engine: dev ## Run the plugin tests that need a whole engine of Heat; no cloud, minutes.
	$(BIN)/pytest $(ON_ALL_CORES) -m engine tests/plugin

lint: export PATH := $(CURDIR)/$(BIN):$(PATH)
lint: dev ## Check style, types, imports and documents.
	tools/lint.sh

# The tests that have the lab alone leave most of the machine to the oldest Heat.
test: BESIDE = matrix-$(OLDEST)
test: lint unit engine functional ## Run everything: lint, oldest and newest Heat, real cloud.

# Several tests at once take longer each. BESIDE is a target that is made beside the last of them.
functional: export HEAT_HA_PATIENCE ?= 2
functional: dev ## Start the lab, run the functional tests on it, stop it.
	trap '$(SUBMAKE) lab-down' EXIT; \
	$(SUBMAKE) lab; \
	failed=0; \
	$(BIN)/pytest -n $(AT_ONCE) --dist worksteal -m '$(ON_LAB) and not alone' --durations=15 \
		tests/functional || failed=1; \
	$(if $(BESIDE),mkdir -p build; nice $(SUBMAKE) $(BESIDE) >build/beside.log 2>&1 & beside=$$!;) \
	$(BIN)/pytest -m '$(ON_LAB) and alone' --durations=15 tests/functional || failed=1; \
	$(if $(BESIDE),wait $$beside || failed=1; cat build/beside.log;) \
	exit $$failed

thorough: dev lab-one ## Run the functional tests that take minutes, on the real cloud.
	$(BIN)/pytest -m 'functional and thorough and not real' --durations=15 tests/functional

regions: dev ## Start the lab, cut its regions from one another in every way, stop it.
	trap '$(SUBMAKE) lab-down' EXIT; \
	$(SUBMAKE) lab; \
	$(BIN)/pytest -m functional --durations=15 tests/functional/test_remote_stack*.py

# Guests without KVM take their time.
real: export HEAT_HA_PATIENCE ?= 2
real: dev lab-real ## Start the lab with real guests, and run the functional tests that need them.
	$(BIN)/pytest -m 'functional and real' --durations=15 tests/functional

matrix: $(RELEASES:%=matrix-%) ## Run the unit and plugin tests on each Heat of RELEASES.

# The wheel is installed, checked as an operator would, and tested. An engine is killed at fewer
# places than in `make engine`, where the newest Heat has the thorough run.
matrix-%: .matrix/heat%/stamp wheel
	@echo "== Heat $*: $$($(UV) pip freeze -q --python .matrix/heat$*/bin/python | grep openstack-heat)"
	$(UV) pip install -q --python .matrix/heat$*/bin/python --no-deps --reinstall build/wheel/*.whl
	cd .matrix && heat$*/bin/heat-ha-plugin-dirs --check
	# As the guide has it installed: by itself it cannot be resolved beside any Heat.
	$(UV) pip install -q --python .matrix/heat$*/bin/python --no-deps python-ceilometerclient
	.matrix/heat$*/bin/python -W ignore -c 'import ceilometerclient.v2.client'
	.matrix/heat$*/bin/python -W ignore -m tests.heat_own.run
	# By itself: it has servers in threads of its own, which wait for ever once a Heat that runs on
	# eventlet is in the same process.
	.matrix/heat$*/bin/pytest $(SERVERS_IN_THREADS)
	.matrix/heat$*/bin/pytest $(ON_ALL_CORES) $(SERVERS_IN_THREADS:%=--ignore=%) tests/unit
	# In processes of their own, the largest files first: pytest's workers do not survive that an
	# engine of Heat 22 is killed, which runs on eventlet.
	ls -S tests/plugin/test_*.py | HEAT_HA_KILL_EVERY=24 \
		xargs -P "$$(nproc)" -n $(FILES_AT_ONCE) .matrix/heat$*/bin/pytest -q

docs: export PYTHONWARNINGS = ignore
docs: dev ## Build the documents and the release notes; a warning is an error.
	$(BIN)/sphinx-build -q -E -W --keep-going -b html doc/source doc/build/html
	$(BIN)/sphinx-build -q -E -W --keep-going -b html releasenotes/source releasenotes/build/html
	@echo "doc/build/html/index.html releasenotes/build/html/index.html"

# Guests without KVM take their time.
IS_REAL = $(filter-out 0,$(REAL))
ONE_OR_REAL = $(if $(IS_REAL),lab-real,lab-one)
demo chaos: export HEAT_HA_PATIENCE ?= $(if $(IS_REAL),2,1)
demo: dev $(ONE_OR_REAL) ## Show a failover on the real cloud; KEEP=1 keeps the stack; REAL=1: guests write.
	$(BIN)/python -m $(if $(IS_REAL),demo.real,demo.run)

# That of the regions needs both, and so do all of them together; downtime has real guests.
# All but one of them need the lab, and one of these both of its regions.
BENCH_LAB = $(if $(filter downtime,$(NAME)),lab-real,\
	$(if $(filter regions,$(or $(NAME),regions)),lab,lab-one))
bench: dev $(if $(filter-out scale,$(or $(NAME),all)),$(BENCH_LAB)) ## Measure on the real cloud; NAME= chooses one benchmark.
	$(BIN)/python -m bench.run $(NAME)

chaos: dev $(ONE_OR_REAL) ## Random failovers in a broken world; RUNS= SEED= MINUTES=; REAL=1: guests write.
	$(BIN)/python -m $(if $(IS_REAL),chaos.real.run,chaos.run)

# By way of the source distribution: a build in place would take along what an older one left.
wheel: dev
	rm -rf build/wheel
	$(UV) build -q --python $(PYTHON) -o build/wheel .
	# The names of entry points in it would hide those of a later version of this checkout.
	rm -rf heat_ha.egg-info

clean: ## Remove the environments and what was built; the lab has lab-clean.
	rm -rf .venv .matrix .tools build doc/build releasenotes/build *.egg-info

.tools/uv/stamp: lab/constraints.txt
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/pip install -q "$$(grep ^uv== $<)"
	touch $@

.venv/stamp: .tools/uv/stamp $(PACKAGE) $(CONSTRAINTS)
	test -x $(BIN)/python || $(UV) venv -q --python $(PYTHON) .venv
	$(UV) pip install -q --python $(BIN)/python $(CONSTRAINTS:%=-c %) \
		-e '.[agent,test,cloud,lint,docs]' 'openstack-heat==$(NEWEST).*'
	touch $@

# Each Heat with the libraries that its own release was tested with, the newest with the lab's.
# Older ones take setuptools, and pkg_resources in it, for granted.
.matrix/heat%/stamp: .tools/uv/stamp $(PACKAGE) $(CONSTRAINTS) $(wildcard tools/releases/*.txt)
	mkdir -p .matrix
	grep -hv '^openstack-heat==' $(CONSTRAINTS) > .matrix/constraints.txt
	test -x .matrix/heat$*/bin/python || $(UV) venv -q --python $(PYTHON) .matrix/heat$*
	own=tools/releases/heat$*.txt; test -e $$own || own=.matrix/constraints.txt; \
	$(UV) pip install -q --python .matrix/heat$*/bin/python -c $$own \
		'.[agent,test]' 'openstack-heat==$*.*' setuptools
	touch $@

.PRECIOUS: .matrix/heat%/stamp
