#!/usr/bin/env bash
# Fetches the Python packages by which tests read what others define the form of, since not every Debian has them, and
# prints the interpreter that has them:
#
#   OP_DBUS_PYTHON=$(scripts/python.sh) cargo nextest run …
#
# PYTHON_CACHE   where they are kept (default: ~/.cache/op-dbus/python)
set -euo pipefail
cache=${PYTHON_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/op-dbus/python}
packages=(openapi-spec-validator==0.9.0 prometheus_client==0.26.0)

# What is named above, once.
fetch() {
    [[ $(cat "$cache/fetched" 2>/dev/null) == "${packages[*]}" ]] && return
    rm -rf "$cache"
    python3 -m venv "$cache" >&2 || return
    timeout 300 "$cache/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2 </dev/null || return
    echo "${packages[*]}" >"$cache/fetched"
}

fetch || {
    echo "${packages[*]} cannot be had from PyPI" >&2
    exit 1
}
echo "$cache/bin/python"
