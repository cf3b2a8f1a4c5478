# Two commands for a newcomer: make demo, make test. Each does all set-up it needs.
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Test files at a time: hosts are waited for more than they work.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-clean test test-image check molecule bench judges lock vm

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## OS packages (where root allows) and the virtual environment; seconds when there is nothing to do
	@sh .ci/setup

demo: setup ## a room of four real Linux PCs on this machine: request, approve, patch, prove, refuse
	@$(PYTHON) -m tests.demo

demo-clean: ## remove what the demo left: its state folder
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m tests.demo --clean; else rm -rf .demo; fi

test: setup ## the suite, with real hosts where this machine can have them
	@$(PYTHON) -m pytest -m "not slow" --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

check: setup ## ruff, mypy strict, yamllint, ansible-lint production, shellcheck
	shellcheck .ci/setup .ci/run tests/testbed/prepare.sh roles/lockdown/files/lab-noexec roles/lockdown/files/lab-power-off roles/lockdown/files/lab-session-reset
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	ansible-lint --offline --profile production

molecule: setup ## the roles' scenarios on real hosts
	@$(PYTHON) -m tests.molecule

bench: setup ## measurements against a baseline run beside each; see tests/bench
	@$(PYTHON) -m tests.bench

judges: setup ## lynis and OpenSCAP on a PC before and after the lock-down; see tests/judges
	@$(PYTHON) -m tests.judges

test-image: setup ## virtual PCs imaged over the network: BIOS and UEFI, read back, first boot, SSH, patch; every failure (QEMU)
	@sh .ci/setup tests/vm/packages.txt
	@LAB_VM=1 $(PYTHON) -m pytest tests/vm --ignore=tests/vm/test_media.py
	@$(PYTHON) -m pytest -m slow tests/integration

vm: setup ## removable storage on a virtual PC with a kernel and a USB bus of its own (QEMU; up to half an hour)
	@sh .ci/setup tests/vm/packages.txt
	@LAB_VM=1 $(PYTHON) -m pytest tests/vm/test_media.py

lock: setup ## new lock files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev pyproject.toml -o requirements-dev.lock
