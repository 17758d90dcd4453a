# make help lists the targets. Nothing but Go, make and a POSIX shell is needed
# to build, to run the demo and to run the tests that need no lab.

GO      ?= go
DEMO    ?= examples/local
HOSTS   ?= 3
FUZZTIME ?= 30s
# What both binaries say of themselves: a tag, or the commit after it.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
# Hosts are Linux; the architecture that is built for them beside amd64 is the operator's own.
ARCH    := $(shell $(GO) env GOARCH)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/quorate, bin/kvserver and bin/kvserver-linux-*
	$(BUILD) -o bin/quorate ./cmd/quorate
	$(BUILD) -o bin/kvserver ./cmd/kvserver
	@for arch in amd64 $(filter-out amd64,$(ARCH)); do \
		echo "bin/kvserver-linux-$$arch"; \
		GOOS=linux GOARCH=$$arch $(BUILD) -o bin/kvserver-linux-$$arch ./cmd/kvserver || exit; \
	done

.PHONY: release
release: ## build both for Linux and macOS on amd64 and arm64 into bin/release, with SHA256SUMS
	@for os in linux darwin; do for arch in amd64 arm64; do for cmd in quorate kvserver; do \
		echo "bin/release/$$cmd-$$os-$$arch"; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o bin/release/$$cmd-$$os-$$arch ./cmd/$$cmd || exit; \
	done; done; done
	@cd bin/release && if command -v sha256sum >/dev/null; then sha256sum *-*-*; else shasum -a 256 *-*-*; fi >SHA256SUMS
	@echo bin/release/SHA256SUMS

.PHONY: demo
demo: build ## three members with TLS on this machine, a key written and read; they keep running
	bin/quorate apply -f $(DEMO) -y
	bin/quorate status -f $(DEMO)
	bin/quorate ctl -f $(DEMO) -- put /name quorate
	bin/quorate ctl -f $(DEMO) -- get /name
	bin/quorate apply -f $(DEMO) -y
	@echo
	@echo 'The cluster keeps running. Look further:'
	@echo '  bin/quorate ctl -f $(DEMO) -- member list -w table'
	@echo '  bin/quorate plan -f $(DEMO)'
	@echo '  eval "$$(bin/quorate env -f $(DEMO))"      # for etcdctl and other clients'
	@echo 'Remove all of it:'
	@echo '  bin/quorate destroy -f $(DEMO) -y          # or: make demo-clean'

.PHONY: demo-clean
demo-clean: ## destroy what make demo made
	bin/quorate destroy -f $(DEMO) -y

.PHONY: test
test: ## run every test this machine can run; lists what was skipped and why
	@GO='$(GO)' sh test/run.sh

.PHONY: soak
soak: ## the tests with a larger budget: every kill and power cut and every change under clients in the lab, every cut in memory, every scenario of the judge, Kubernetes across a restore (Linux, root; hours)
	QUORATE_SOAK=1 QUORATE_LAB=required $(GO) test -v -timeout 300m -run 'Killed|PowerCut|FullDisk|Linearizable|ComeAndGo|Learner|AddressesChange|Judge|Cut|EachRelease|ProveMemory|Kubernetes' ./test/stories ./provision ./plan ./cmd/kvserver ./cmd/quorate

# Looking for the shortest input that shows something new would take most of the time: 50 tries are enough.
.PHONY: fuzz
fuzz: ## fuzz whatever reads what others say, each target for FUZZTIME (30s)
	@git grep -o '^func Fuzz[A-Za-z0-9]*' -- '*_test.go' | while IFS=: read -r file name; do \
		echo "$${file%/*} $${name#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x "./$${file%/*}" || exit; \
	done

.PHONY: bench
bench: ## measure the budgets of docs/performance.md, as ratios, in the lab
	$(GO) run ./test/bench

.PHONY: lab-up
lab-up: ## boot HOSTS (3) Debian hosts with systemd and OpenSSH (Linux, root)
	$(GO) run ./test/lab/cmd/lab up --hosts $(HOSTS)

.PHONY: lab-down
lab-down: ## take down every lab that make lab-up booted
	$(GO) run ./test/lab/cmd/lab down

.PHONY: fmt
fmt: ## format the Go sources
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

# What no main needs may be there for tests only in packages for tests, and in the names of the last row, whose users are tests elsewhere.
FORTESTS := ^provision/host/hosttest/|^kvserver/servertest/|^test/lab/testing\.go|^test/history/
FORTESTS := $(FORTESTS)|unreachable func: (Kinds|VotersToRemove|BytesBlob|bytesBlob\.[A-Za-z]+)$$

.PHONY: lint
lint: ## formatting, vet, staticcheck, no function that nothing needs
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt mends it):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@mains=$$($(GO) tool deadcode ./cmd/... ./test/...) && all=$$($(GO) tool deadcode -test ./...) || exit 1; \
	dead=$$(echo "$$mains" | grep -vE '$(FORTESTS)'; echo "$$all"); \
	if [ -n "$$dead" ]; then echo "nothing needs these, or only tests do (then they belong there):"; echo "$$dead"; exit 1; fi

.PHONY: clean
clean: ## remove bin
	rm -rf bin
