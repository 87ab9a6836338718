# The front door: each target is one command for what people do here. See CONTRIBUTING.md.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := bash

JOBS := $(shell nproc)
FUZZ_SECONDS ?= 60
RELEASE := cmake --build --preset release -j $(JOBS)

.PHONY: help setup demo test conformance bench fuzz lint format asan ubsan tsan clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing, build library and .venv; quick when nothing changed
	@scripts/setup

demo: setup ## stop work that cannot be stopped from inside, in a few seconds
	@$(RELEASE) --target hardstop_demo
	@build/release/examples/hardstop_demo
	@echo && .venv/bin/python -m hardstop demo

# A sample of what takes longest, so that all of it ends within 25 minutes on two processors: lint,
# asan, tsan and fuzz have the whole.
test: setup ## build, lint, every test, C++ and Python; samples of asan, tsan, fuzz
	@$(RELEASE)
	@scripts/lint --quick
	@scripts/tidy --recent 2
	@scripts/check-clean scripts/run-ctest release
	@scripts/check-clean scripts/test-python
	@scripts/sanitize asan sample
	@scripts/sanitize tsan sample
	@scripts/fuzz 1

conformance: setup ## all of CPython's tests of concurrent.futures, on each interpreter present
	@scripts/check-clean scripts/test-python suite

bench: setup ## measure; writes the tables of README and docs to build/bench/
	@$(RELEASE) --target hardstop_bench
	@build/release/bench/hardstop_bench
	@bench/python/measure

fuzz: setup ## fuzz every decoder, FUZZ_SECONDS=60 each
	@scripts/fuzz $(FUZZ_SECONDS)

lint: setup ## format, layers, clang-tidy
	@scripts/lint

format: ## format the sources in place
	@scripts/lint --fix

# ThreadSanitizer cannot follow a worker that is forked from a client with threads and starts threads
# of its own: it sees the tests that carry its label, which are those of what threads share.
asan ubsan: setup
	@scripts/sanitize $@ all
tsan: setup
	@scripts/sanitize $@
asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
ubsan: ## all tests under UndefinedBehaviorSanitizer
tsan: ## the tests of what threads share under ThreadSanitizer

clean: ## remove what was built
	@rm -rf build .venv
