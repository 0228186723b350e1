#!/usr/bin/env bash
# The chat's page in a real browser.
set -euo pipefail
exec "$(dirname "$0")/../../scripts/browser.sh"
