# Weir's two commands are `make demo` and `make test`. Each installs what it needs and says so.
SHELL := /bin/bash
CARGO ?= cargo
RELEASE := target/release

# Release builds are laid out by what a running weir was seen to do: proxy/bin/weir.profdata, which `make profile` writes.
# It is good for one version of the compiler; functions that it does not know, or that have changed, are compiled without.
# The linker is that of .cargo/config.toml, which these flags replace.
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
PROFILED := RUSTFLAGS="-C link-arg=-fuse-ld=mold -C link-arg=-Wl,-z,keep-text-section-prefix -C profile-use=$(CURDIR)/proxy/bin/weir.profdata -C llvm-args=-no-pgo-warn-mismatch"

.PHONY: help demo test lint unit bench fuzz soak tools setup build profile clean

help:
	@echo "make demo   the main job on real traffic: redirect, allow or deny, split (root, under a minute after the build)"
	@echo "make test   every test and lint"
	@echo "make fuzz   every parser for FUZZ_SECONDS (60) each"
	@echo "make soak   everything at once for SOAK_SECONDS (3600), every answer checked (root)"
	@echo "make profile what the compiler lays release builds out by, measured anew (root)"
	@echo "make bench  the costs of Weir beside Envoy, HAProxy, nginx, pingora and a byte forwarder, and its targets (root)"

setup:
	@scripts/setup.sh

# The clients that tests drive the built binary with.
tools: setup
	@scripts/tools.sh

# One release build serves the demo, the tests and the bench. Its target is named, so that what only builds it is left as it is.
build: setup
	$(PROFILED) $(CARGO) build --release --locked --target $(HOST) -p weir -p tests --bins
	@mkdir -p $(RELEASE) && cd $(RELEASE) && ln -f ../$(HOST)/release/{weir,backend,soak} .

demo: build
	@WEIR=$(CURDIR)/$(RELEASE)/weir BACKEND=$(CURDIR)/$(RELEASE)/backend examples/demo/run.sh

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# The kernel-facing tests build network namespaces; a few at a time keeps two cores honest.
unit: build tools
	@[ "$$(id -u)" -eq 0 ] || echo "test: not root: everything that redirects real traffic (eBPF, network namespaces) is left out"
	WEIR_BIN=$(CURDIR)/$(RELEASE)/weir $(CARGO) test --workspace --locked

test: lint unit

# Every parser, for so many seconds each, from the committed corpus on.
FUZZ_SECONDS ?= 60
fuzz: setup
	scripts/fuzz.sh $(FUZZ_SECONDS)

# Everything at once for so long; `make test` has its short form.
SOAK_SECONDS ?= 3600
soak: build tools
	WEIR_BIN=$(CURDIR)/$(RELEASE)/weir $(RELEASE)/soak $(SOAK_SECONDS)

bench: build
	$(CARGO) run --release --locked -p benches --bin bench -- $(BENCH_ARGS)

# What a running weir does, for the compiler (root).
profile: build tools
	scripts/profile.sh

clean:
	$(CARGO) clean
