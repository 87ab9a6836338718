# The front door: each target is one command for what people do here. See CONTRIBUTING.md.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := bash

JOBS := $(shell nproc)
FUZZ_SECONDS ?= 60
RELEASE := cmake --build --preset release -j $(JOBS)

.PHONY: help setup demo test bench fuzz lint format asan ubsan tsan clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing, build the library; quick when nothing changed
	@scripts/setup

demo: setup ## stop work that cannot be stopped from inside, in a few seconds
	@$(RELEASE) --target hardstop_demo
	@build/release/examples/hardstop_demo

test: setup ## build, lint, every test, the corpora of the fuzzers
	@$(RELEASE)
	@scripts/lint --quick
	@scripts/check-clean ctest --preset release --no-tests=error -LE unsettled -j $(JOBS)

bench: setup ## measure; writes the tables of README and docs to build/bench/
	@$(RELEASE) --target hardstop_bench
	@build/release/bench/hardstop_bench

fuzz: setup ## fuzz every decoder, FUZZ_SECONDS=60 each
	@scripts/fuzz $(FUZZ_SECONDS)

lint: setup ## format, layers, clang-tidy
	@scripts/lint

format: ## format the C++ sources in place
	@scripts/lint --fix

asan ubsan tsan: setup
	@scripts/sanitize $@ all
asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
ubsan: ## all tests under UndefinedBehaviorSanitizer
tsan: ## all tests under ThreadSanitizer

clean: ## remove what was built
	@rm -rf build
