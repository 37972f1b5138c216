include scripts/tools.mk

PREFIX  ?= /usr/local
DESTDIR ?=
FUZZTIME ?= 20s
BINARIES := pushd pushpub pushstat sysprep

.DEFAULT_GOAL := help
.PHONY: help build install run test race positions interop oracle fuzz bench yardstick compare \
	capacity cover golden lint tidy ci clean

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  \1\t/' | expand -t 14

build: ## build the four binaries into bin/
	go build -trimpath -o bin/ ./cmd/...

run: build ## start pushd, show a message arriving at a held connection, keep pushd running until Ctrl-C
	@scripts/run.sh

test: ## everything that must pass; make interop as well where what it needs is there
	go vet ./...
	go test -count=1 ./...
	@if test -d scripts/interop/node_modules && type node chromium php pushpin-publish >/dev/null 2>&1; then $(MAKE) interop; \
	else echo "SKIPPED: make interop (no npm packages, chromium, php or pushpin)"; fi

race: ## the tests under the race detector, in random order
	HOLDFAST_POSITIONS=100 go test -race -shuffle=on -count=1 ./...

positions: ## 100,000 histories of clients that are cut and come back (docs/clients.md, "What was missed")
	HOLDFAST_POSITIONS=100000 go test -count=1 -timeout 2h -run '^TestPositions$$' ./pkg/session

interop: ## the tests with npm clients and headless Chromium (installs the npm packages; needs node, chromium, php and pushpin-publish)
	HOLDFAST_INTEROP=1 go test -count=1 -timeout 10m ./scripts/interop

oracle: ## pushd against Debian's Pushpin 1.36: the same requests, the same answers (needs pushpin)
	HOLDFAST_ORACLE=1 go test -count=1 ./scripts/oracle

fuzz: ## every fuzz target for FUZZTIME (20s)
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

bench: ## per-operation costs (Go benchmarks)
	go test -run '^$$' -bench . -benchmem ./...

yardstick: build ## pushd against a bare C server, or OLD=DIR: against an old build (needs cc)
	go run ./scripts/yardstick -bin bin $(if $(OLD),-old $(OLD)) $(ARGS)

compare: ## benchmarks of single operations against the source tree OLD=DIR (benchstat)
	go run ./scripts/compare -old "$(OLD)" -benchstat $(BENCHSTAT) $(ARGS)

capacity: build ## the memory of connections, predicted and measured (docs/capacity.md)
	go run ./scripts/capacity

cover: ## statement coverage of the tests
	go test -coverprofile=cover.out ./... && go tool cover -func=cover.out | tail -n 1

golden: ## rewrite the golden files; read the diff
	go test ./cmd/... ./pkg/wire/... -update

lint: ## gofmt, vet, staticcheck, and a tidy go.mod
	@bad=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); test -z "$$bad" || { echo "gofmt would change:"; echo "$$bad"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff

install: build ## install the binaries below DESTDIR and PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(addprefix bin/,$(BINARIES)) $(DESTDIR)$(PREFIX)/bin

tidy: ## make go.mod name what is used
	go mod tidy

ci: ## what CI runs
	bash .ci/run

clean: ## remove what the build made
	rm -rf bin cover.out
