# What can be done with this tree on a machine without Nix. `make help` lists it.

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help build demo demo-down test test-nixos lint bench install uninstall clean

help:
	@echo "make demo        show it working, in a sandbox of its own (root; Debian 12 or 13)"
	@echo "make demo-down   take the demo away again"
	@echo "make test        run everything that is checked, and print one summary"
	@echo "make test-nixos  NIXPKGS=TREE: evaluate the NixOS half, and boot hosts where that can be done"
	@echo "make lint        formatting, lints, documentation, shell scripts, dependencies"
	@echo "make bench       measure, and print the figures"
	@echo "make build       build the release binary"
	@echo "make install     install the binary, its manual page and completions in PREFIX ($(PREFIX))"
	@echo "make uninstall   remove those again"
	@echo "make clean       remove what was built"

build:
	@scripts/build.sh

demo:
	@demo/up.sh

demo-down:
	@demo/down.sh

test:
	@scripts/test.sh

test-nixos:
	@scripts/nixos.sh

lint:
	@scripts/lint.sh

bench:
	@scripts/bench.sh

install: build
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install.sh

uninstall:
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install.sh --remove

clean:
	@rm -rf "$${CARGO_TARGET_DIR:-agent/target}"
