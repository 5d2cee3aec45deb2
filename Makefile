# make test    everything that CI runs, and nothing that CI does not
# make lint    more linters, where they are installed or can be reached
# make bench   every benchmark, in about five minutes on a machine at rest
# make soak    breaks things around the program for SECONDS and follows every message; SEED= plays one again, STORE=sqlite or postgres
# make graph   what reads cost from 10,000 to 5 million messages, drawn into docs/img/scale.svg (half an hour)
# make build   ./crosstalk, one static binary
# make release one for each of six kinds of machine, and their checksums, in dist/

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# The tools that tests call for stand here, also for users who are not root.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: build release test lint bench soak graph tools format

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o crosstalk ./cmd/crosstalk

# Whoever builds the same commit with the same Go gets the same bytes.
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

release:
	rm -rf dist && mkdir dist
	@for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; file=dist/crosstalk-$(VERSION)-$$os-$$arch; \
		if [ "$$os" = windows ]; then file=$$file.exe; fi; \
		echo "$$file"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOAMD64=v1 GOARM64=v8.0 GOFLAGS= \
			go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o "$$file" ./cmd/crosstalk; \
	done
	cd dist && if command -v sha256sum >/dev/null; then sha256sum crosstalk-*; else shasum -a 256 crosstalk-*; fi > SHA256SUMS
	@cat dist/SHA256SUMS

# SQLite is C that was translated to Go. Half of what the race detector would look at is inside of it, and nothing there is ours.
RACE = -race -gcflags modernc.org/sqlite/lib=-race=false

# The house rules are tests like any other, in internal/house. What vet and the tests need is compiled once, for both, and vet is
# not run again by each test.
test: export CGO_ENABLED = 1
test: tools format
	go vet $(RACE) ./...
	go tool staticcheck ./...
	go test $(RACE) -vet=off ./...

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
	go test -run '^$$' -bench . -benchmem -timeout 20m ./...

# What the random choices follow from, 0 for others each time; and the database, empty for both at the same time.
SECONDS = 300
SEED = 0
STORE =

soak:
	go test ./internal/faults -run '^TestSoak$$' -count 1 -parallel 2 -v -timeout $$(( $(SECONDS) + 900 ))s \
		-soak.seconds $(SECONDS) -seed $(SEED) -soak.store '$(STORE)'

graph:
	mkdir -p docs/img
	go test -run '^$$' -bench Scale -benchtime 1x -timeout 3h ./models/store -messages 5000000 -graph $(CURDIR)/docs/img/scale.svg
