# dps: make (or make help) lists the targets.
SHELL := /bin/bash
GO    ?= go
BIN   := bin
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
FUZZTIME ?= 10s
# A package that hangs is ended after this; one busy core takes many times as long as two
# idle ones.
PATIENCE ?= 1h

export CGO_ENABLED = 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z\/_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build and run a complete development deployment (dps dev)
	@$(BIN)/dps dev

.PHONY: build
build: ## Build bin/dps
	@$(GO) build -trimpath -o $(BIN)/dps ./cmd/dps

.PHONY: test
test: deps lint verify test/unit test/race fuzz/short interop kill ## Everything that proves the project; installs and starts what it needs
	@echo "all of make test passed"

.PHONY: deps
deps: ## Install what the tests need and the machine lacks (Debian: PostgreSQL, Node.js)
	@scripts/deps.sh

.PHONY: test/unit
test/unit: ## Unit and contract tests, on SQLite and on a real Postgres
	$(GO) test -timeout $(PATIENCE) $$($(GO) list ./... | grep -v -e /test/interop -e /test/kill -e /test/events)

.PHONY: test/race
test/race: ## The same under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout $(PATIENCE) $$($(GO) list ./... | grep -v -e /test/)

.PHONY: test/postgres
test/postgres: ## The storage contract suite on Postgres alone
	$(GO) test -count=1 ./storage/postgres/...

.PHONY: interop
interop: deps ## The unmodified SDKs of Node.js, Python and Java against a fresh dps dev, and the table of docs/interop.md
	$(GO) test -count=1 -timeout $(PATIENCE) ./test/interop

.PHONY: kill
kill: deps ## SIGKILL at many points of many registrations, on both stores: every device ends in one hub, no event is lost
	$(GO) test -count=1 -timeout $(PATIENCE) ./test/kill
	$(GO) test -count=1 -timeout $(PATIENCE) ./test/events

.PHONY: kill/moves
kill/moves: deps ## The same over a few thousand moves between hubs: ten minutes
	$(GO) test -count=1 -timeout 40m -v ./test/kill -run 'TestSQLite|TestPostgres' -devices 500 -episodes 6 -duration 200s -patience 5m

.PHONY: fuzz/short
fuzz/short: ## Every fuzz target for $(FUZZTIME)
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: fuzz
fuzz: ## Every fuzz target for five minutes
	@scripts/fuzz.sh 5m

.PHONY: bench
bench: ## All benchmarks with their baselines, as ratios; make bench/NAME for one
	$(GO) run ./test/bench all

.PHONY: bench/%
bench/%:
	$(GO) run ./test/bench $*

.PHONY: soak
soak: ## 100,000 connections of all transports come and go, rude ones too; nothing may stay behind
	$(GO) run ./test/bench soak

.PHONY: lint
lint: ## gofumpt, go vet, golangci-lint and govulncheck
	@scripts/lint.sh $(GOLANGCI_VERSION) $(GOVULNCHECK_VERSION)

.PHONY: generate
generate: ## Regenerate models, documents and test certificates
	$(GO) generate ./...

.PHONY: verify
verify: ## Generate and see no difference
	@scripts/verify.sh

.PHONY: image
image: ## Build the container image (needs a container engine)
	docker build -t dps:local .

.PHONY: release
release: ## Static binaries for linux amd64 and arm64 in dist/, with checksums
	@scripts/release.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) dist
