# Towpath. `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CACHE   ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/towpath
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.0.0-dev)
GO      ?= go
LINT_VERSION := v2.15.0
LINT         := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/towpath
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.linked=$(VERSION)' -o bin/towpath ./cmd/towpath

.PHONY: demo
demo: build ## build, then show everything in a minute, offline
	bin/towpath demo

.PHONY: test
test: deps ## install what the tests need (it says what), and run all of them
	scripts/test ./...

# The detector sees the processes of the tests themselves, so not the packages
# that only start others and kill them. SQLite's translation and what makes the key
# of a password slow are not ours, and share nothing. The server's tests are the
# longest and have deadlines: they have the machine to themselves, in two runs. What
# judges is pure (a test in docs/ sees to that), and its simulations take long.
RACE := -race -gcflags=modernc.org/...=-race=false -gcflags=golang.org/x/crypto/scrypt=-race=false
.PHONY: race
race: deps ## run the tests that are one process with the race detector
	scripts/test $(RACE) -run '^TestServer_' ./internal/app/server
	scripts/test $(RACE) -skip '^TestServer_' ./internal/app/server
	scripts/test $(RACE) $$($(GO) list ./... | grep -vE '/internal/(analysis|app/(crashtest|stories|server))$$')

# Simulated rollouts and the crash points of the server each take all of two
# processors for most of an hour: one after the other they are in time. On PostgreSQL
# a crash point mostly waits for leases, so four are made at once.
.PHONY: test-long
test-long: deps ## what takes long: 260,000 simulated rollouts, every crash point, then a minute of fuzzing per target
	scripts/test -tags long -timeout 60m ./internal/analysis
	scripts/test -tags long -timeout 60m -parallel 4 ./internal/app/crashtest
	scripts/test -tags long -timeout 60m $$($(GO) list ./... | grep -vE '/internal/(analysis|app/crashtest)$$')
	scripts/fuzz 60s

.PHONY: deps
deps: ## install the Debian packages that tests need
	scripts/deps

.PHONY: lint
lint: $(LINT) ## the linter with the house's rules
	$(LINT) run ./...

$(LINT):
	mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin/tmp $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(CACHE)/bin/tmp/golangci-lint $@

.PHONY: verify
verify: ## regenerate what is generated; fail when it, the format or the modules differ
	scripts/verify

.PHONY: bench
bench: deps ## print the figures of docs/benchmarks.md, peers beside them
	scripts/bench

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
