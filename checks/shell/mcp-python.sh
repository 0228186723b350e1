#!/usr/bin/env bash
# The official Python client of the Model Context Protocol against `op-dbus mcp`. Takes PyPI, and no rights.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
agent=$here/../../agent
client=mcp==2.3.0

skipped() {
    echo "SKIPPED: $*"
    exit 77
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || skipped "Python 3.10 or newer is missing"
python3 -m venv "$work/venv" >/dev/null 2>&1 || skipped "python3-venv is missing"
timeout 120 "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$client" >"$work/pip.log" 2>&1 ||
    skipped "$client cannot be had from PyPI: $(tail -n 1 "$work/pip.log")"

cd "$agent"
cargo build --quiet --locked --package op-dbus
cargo build --quiet --locked --package mcp --example conformance
target=${CARGO_TARGET_DIR:-target}/debug
timeout 120 "$work/venv/bin/python" "$here/mcp/client.py" "$target/op-dbus" "$target/examples/conformance"
