#!/usr/bin/env bash
# Builds the release binary and names its place on the last line.
set -euo pipefail
cd "$(dirname "$0")/../agent"

# shellcheck source=scripts/toolchain.sh
source ../scripts/toolchain.sh
# SQLite is compiled from C.
command -v cc >/dev/null || ../scripts/packages.sh gcc libc6-dev

cargo build --release --locked --package op-dbus >&2
realpath "${CARGO_TARGET_DIR:-target}/release/op-dbus"
