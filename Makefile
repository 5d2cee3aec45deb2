# make test    everything that CI runs, and nothing that CI does not
# make lint    more linters, where they are installed or can be reached
# make bench   every benchmark
# make graph   what reads cost from 10,000 to 5 million messages, drawn into docs/img/scale.svg (half an hour)
# make build   ./crosstalk, one static binary

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# The tools that tests call for stand here, also for users who are not root.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: build test lint bench graph tools format

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o crosstalk ./cmd/crosstalk

# The house rules are tests like any other, in internal/house.
test: tools format
	go vet ./...
	go tool staticcheck ./...
	CGO_ENABLED=1 go test -race ./...

tools:
	@scripts/tools

format:
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$unformatted" ]; then echo "These files are not as gofmt writes them: $$unformatted" >&2; exit 1; fi

lint:
	@if command -v golangci-lint >/dev/null; then \
		golangci-lint run --default none --enable errcheck,errorlint,revive ./...; \
	else echo 'golangci-lint is not installed: errcheck, errorlint and revive were not run.'; fi
	@if curl -fsS -m 10 -o /dev/null https://vuln.go.dev/index/db.json; then \
		go run golang.org/x/vuln/cmd/govulncheck@latest ./...; \
	else echo 'vuln.go.dev cannot be reached: govulncheck was not run.'; fi

bench:
	go test -run '^$$' -bench . -benchmem ./...

graph:
	mkdir -p docs/img
	go test -run '^$$' -bench Scale -benchtime 1x -timeout 3h ./models/store -messages 5000000 -graph $(CURDIR)/docs/img/scale.svg
