# The commands people use. `make help` lists them.
#
# Each target installs what it needs with apt-get and rustup, after saying so (integration/need.sh).

PREFIX ?= /usr/local
DESTDIR ?=

TARGET := $(shell uname -m)-unknown-linux-musl
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
BERTH := $(TARGET_DIR)/$(TARGET)/release/berth

# libseccomp is linked in: compiled for musl by integration/libseccomp.sh.
LIBSECCOMP := $(TARGET_DIR)/libseccomp
export LIBSECCOMP_LINK_TYPE := static
export LIBSECCOMP_LIB_PATH := $(LIBSECCOMP)/lib

NEED := integration/need.sh
SCRIPTS := $(shell find .ci integration tests -type f \( -name '*.sh' -o -path .ci/run \) 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help build demo test lint conformance engines engines-vm vm vm-test vm-load vm-shell bench bench-limits install clean toolchain

help: ## this list
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | column -t -s '|'

toolchain:
	@$(NEED) 'build berth' gcc libc6-dev pkg-config target:$(TARGET)
	@integration/libseccomp.sh $(LIBSECCOMP)

build: toolchain ## build the static release binary and print its path
	@cargo build --release --locked --target $(TARGET)
	@echo $(BERTH)

demo: build ## run two containers and show what they get, with the commands as they run
	@$(NEED) 'make a bundle' busybox-static jq
	@BERTH=$(BERTH) integration/demo.sh

test: toolchain ## unit and integration tests on this machine (SUITE="exec cgroups" TEST=part TEST_THREADS=n)
	@$(NEED) 'make bundles and look at them' busybox-static iproute2 mmdebstrap procps uidmap
	@TARGET=$(TARGET) integration/test.sh

lint: toolchain ## format, clippy, a check for aarch64, shellcheck
	@$(NEED) 'check the code' shellcheck component:fmt component:clippy target:aarch64-unknown-linux-musl
	cargo fmt --all --check
	cargo clippy --locked --quiet --target $(TARGET) --workspace --all-targets -- -D warnings
	cargo check --locked --quiet --target aarch64-unknown-linux-musl
	shellcheck -x $(SCRIPTS)

conformance: build ## the OCI runtime-tools validation suite, compared with the expected results
	@BERTH=$(BERTH) integration/conformance/run.sh

engines: build ## Docker, containerd and Podman with berth, and with runc as control (ENGINES="docker-life podman" ONLY=part)
	@$(NEED) 'run engines' docker.io docker-compose iptables containerd podman netavark conmon buildah runc \
		busybox-static bsdutils iproute2 procps \
		containernetworking-plugins protobuf-compiler curl uidmap
	@BERTH=$(BERTH) integration/engines/run.sh

engines-vm: build ## the same in the test machine, with newer engines, and what only systemd and AppArmor show (ENGINES="cri docker-systemd")
	@BERTH=$(BERTH) integration/engines/vm.sh

vm: ## build the test machine: pure cgroup v2, systemd, Docker, containerd, Podman
	@integration/vm/build.sh

vm-test: build ## the tests that depend on cgroup v2 or systemd, in the test machine (SUITE="all" TEST=… as for test)
	@BERTH=$(BERTH) TARGET=$(TARGET) integration/vm/test.sh

vm-load: build ## 500 containers with the systemd driver in the test machine, and how soon its bus answers (COUNT=n)
	@BERTH=$(BERTH) integration/vm/load.sh

vm-shell: build ## a prompt in the test machine, berth in PATH
	@BERTH=$(BERTH) integration/vm/shell.sh

bench: build ## measure berth, runc, crun, youki on a quiet machine (ONLY=run,exec ROUNDS=n BENCH_FORCE=1 COMPARE="old=path")
	@$(NEED) 'measure' busybox-static jq strace valgrind musl-tools gcc linux-libc-dev
	@cargo build --release --locked --quiet --target $(TARGET) -p berth-bench
	@BERTH=$(BERTH) DRIVER=$(TARGET_DIR)/$(TARGET)/release/berth-bench OUT=$(TARGET_DIR)/bench integration/bench/run.sh

bench-limits: build ## the smallest memory.max and pids.max that berth, crun, runc start with, in the test machine
	@$(NEED) 'measure' musl-tools gcc linux-libc-dev
	@cargo build --release --locked --quiet --target $(TARGET) -p berth-bench
	@BERTH=$(BERTH) DRIVER=$(TARGET_DIR)/$(TARGET)/release/berth-bench OUT=$(TARGET_DIR)/bench integration/bench/vm-limits.sh

install: build ## install to $(DESTDIR)$(PREFIX)/bin
	install -D -m 755 $(BERTH) $(DESTDIR)$(PREFIX)/bin/berth

clean: ## remove what was built in this checkout (not the caches in ~/.cache/berth)
	cargo clean
	rm -f $(LIBSECCOMP)
