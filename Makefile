# `make help` lists what there is. Every command makes or refreshes .venv first; the work itself is in Taskfile.yml.

SHELL := /bin/sh
BROKER ?= embedded
BENCH_JSON ?=
AREA ?= ledger
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name))))
TASK := .venv/bin/task

export BROKER BENCH_JSON AREA
.DEFAULT_GOAL := help
.PHONY: help bootstrap demo up down reset test bench chaos planted-bugs lint fmt

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  BROKER=embedded|apache     which broker test, bench, chaos, demo and up start (apache needs Java and Maven)"
	@echo "  BROKER=containers          for test alone: PostgreSQL and Kafka by Docker, where an engine answers"
	@echo "  BENCH_JSON=FILE            where bench also writes its numbers"
	@echo "  AREA=ledger                whose bugs planted-bugs plants"

bootstrap: ## make .venv from the hashed requirement files, when they have changed
	@test -n "$(PYTHON)" || { echo "Corridor needs Python 3.11 or later on the PATH, or make PYTHON=/path/to/python"; exit 2; }
	@"$(PYTHON)" scripts/bootstrap.py

demo: bootstrap ## 200 transfers through every service, with faults and kills, and the proof at the end
	@exec .venv/bin/python -m scripts.demo

up: bootstrap ## the whole system in the background; var/run/system.json says where
	@exec .venv/bin/python -m scripts.system up

down: bootstrap ## end what `up` started; its data stay
	@exec .venv/bin/python -m scripts.system down

reset: bootstrap ## delete its data; refused while it is up
	@exec .venv/bin/python -m scripts.system reset

test: bootstrap ## lint, types, import rules and all tests
	@$(TASK) test

bench: bootstrap ## loops per second and latencies of the running system, beside a bare baseline
	@$(TASK) bench

chaos: bootstrap ## kill -9 under load, again and again; the last line is the verdict
	@$(TASK) chaos

planted-bugs: bootstrap ## plant known bugs of AREA one by one and show the test that catches each
	@$(TASK) planted-bugs

lint: bootstrap ## format, lint, types and import rules, without tests
	@$(TASK) lint

fmt: bootstrap ## put every file into the one format
	@$(TASK) fmt
