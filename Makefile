PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test parts test-crash test-rolling test-slow test-faults lint unit molecule lock docs bench-converge bench-fleet bench-switch bench-http bench-logs bench-sockets release clean setup

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Molecule keeps its state here: two clones of one name share none. Sockets stay where their paths are short.
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_SSH_CONTROL_PATH_DIR := ~/.ansible/cp
# Output as it comes, not wrapped into boxes of 80 columns.
export MOLECULE_COMMAND_BORDERS := false
# Where the scenarios are; without it Molecule warns that those of a collection could be elsewhere.
export MOLECULE_GLOB := molecule/*/molecule.yml
# Without bytecode each start of ansible-playbook compiles some 340 modules again, which is half of its time.
unexport PYTHONDONTWRITEBYTECODE
# Notes the minutes of a part for the table of `make test`.
TIMED := $(PYTHON) -m tools.minutes

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup:
	@$(PYTHON) tools/bootstrap.py

demo: setup ## A balancer and two hosts in containers, serving the example app over TLS; a second run goes straight to the play
	@python -m tools.demo up

demo-down: ## Remove all that the demo made
	@$(PYTHON) -m tools.demo down

test: ## Linters, unit tests, Molecule scenarios; at the end, the minutes that each took
	@$(TIMED) whole $(MAKE) --no-print-directory parts

parts:
	@$(TIMED) set-up $(MAKE) --no-print-directory setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line lint unit
	@$(MAKE) --no-print-directory molecule

test-crash: setup ## A deploy killed at each of its tasks, not only at some of them as in `make test`; takes hours
	@TORNADO_APP_CRASH=all PYTEST_ADDOPTS="-k test_crash" python -m tools.scenarios rolling

test-rolling: setup ## Ten deploys, five rollbacks, five restarts and more under load; `make test` has two
	@TORNADO_APP_OPERATIONS=all PYTEST_ADDOPTS="-k test_operations_under_load" python -m tools.scenarios rolling

test-slow: setup ## What `make test` leaves out: upgrades of the role and of hosts, reboots, certificates of balancers, workers alone
	@PYTEST_ADDOPTS="-m slow" python -m tools.scenarios fleet operations

test-faults: setup ## What fails in an app, a dependency for five minutes; `make test` has one that is away for 40 seconds
	@TORNADO_APP_OUTAGE=300 PYTEST_ADDOPTS="-k test_faults" python -m tools.scenarios hostile

lint: setup ## Linters, formatters, types, what nginx's files allow
	$(TIMED) lint yamllint --strict .
	$(TIMED) lint ansible-lint --offline --strict
	$(TIMED) lint ruff check .
	$(TIMED) lint ruff format --check .
	$(TIMED) lint mypy
	$(TIMED) lint python -m tools.nginx_lint

unit: setup ## Unit tests of plugins, templates and the example app
	@$(PYTHON) tools/bootstrap.py --with-nginx
	$(TIMED) unit pytest --numprocesses=auto --dist=loadfile tests/unit files/app/tests

molecule: setup ## The Molecule scenarios, or those in SCENARIOS="default ..."
	@$(PYTHON) tools/bootstrap.py --with-browser
	@python -m tools.scenarios $(SCENARIOS)

LOCK := uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy requires-python \
  --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: setup ## Write each requirements.txt again from the requirements.in beside it
	$(LOCK) requirements.in --output-file requirements.txt
	$(LOCK) bench/requirements.in --output-file bench/requirements.txt
	$(LOCK) molecule/shared/apps/pages/requirements.in --output-file molecule/shared/apps/pages/requirements.txt
	$(subst 3.11,3.9,$(LOCK)) --no-header --no-annotate roles/tornado_app/files/supervisor-requirements.in \
	  --output-file roles/tornado_app/files/supervisor-requirements.txt # of the hosts' own Python

docs: setup ## Write the reference of variables from the argument specs
	python tools/docs.py

bench-converge: setup ## Measure runs of site.yml against a play that changes nothing; takes half an hour
	@python -m bench.converge

bench-fleet: setup ## Measure what a host costs the controller, in fleets of SIZES="4 40 200" hosts
	@python -m bench.fleet $(SIZES)

bench-switch: setup ## Compare three ways to bring a new version live on 256 processes; takes half an hour and 12 GB of memory
	@python -m pip install --quiet --require-hashes --no-deps --disable-pip-version-check --requirement bench/requirements.txt
	@python -m bench.switch
	@python -m bench.switch_plot

bench-http: setup ## Compare requests a second and bytes with the configuration of Tornado's guide; takes six minutes
	@$(PYTHON) tools/bootstrap.py --with-nginx --with-wrk
	@python -m bench.http

bench-logs: setup ## Compare requests a second with logs through supervisord and opened by the launcher; takes two minutes
	@python -m bench.logs

bench-sockets: setup ## Move ten thousand websockets by a deploy, and by a restart of the guide's configuration; takes ten minutes
	@$(PYTHON) tools/bootstrap.py --with-nginx
	@python -m pip install --quiet --require-hashes --no-deps --disable-pip-version-check --requirement bench/requirements.txt
	@python -m bench.sockets
	@python -m bench.sockets_plot

release: setup ## Build the archive of the collection; version, tag and changelog have to agree
	@python -m tools.release

clean: ## Remove caches (`make demo-down` removes the rest)
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
