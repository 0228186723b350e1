#!/usr/bin/env bash
# The official conformance suite, the inspector and the Python client of the Model Context Protocol.
set -euo pipefail
exec "$(dirname "$0")/../../scripts/conformance.sh"
