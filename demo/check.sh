#!/usr/bin/env bash
# The demo as a test: it must come up, come up again, go, and leave nothing behind. Run it in network
# and mount namespaces of its own.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
DEMO_BASE=$(mktemp --directory --tmpdir op-dbus-demo-XXXXXX)
export DEMO_BASE

# What the machine has of each thing that the demo makes.
inventory() {
    echo "links: $(ip -brief link show | cut -d' ' -f1 | sort | tr '\n' ' ')"
    echo "mounts: $(findmnt --noheadings --output TARGET --list | sort | tr '\n' ' ')"
    echo "images: $(losetup --noheadings --output BACK-FILE --list | grep -F "$DEMO_BASE" || true)"
    echo "locks: $(find /run/lxc -path "*$DEMO_BASE*" 2>/dev/null || true)"
    echo "processes: $(pgrep --full "$DEMO_BASE" | grep --invert-match "^$$\$" || true)"
}

ip link set lo up
before=$(inventory)
trap '"$here/down.sh" || true' EXIT
"$here/up.sh"
"$here/up.sh" >/dev/null
"$here/down.sh"
trap - EXIT
"$here/down.sh"

[[ ! -e $DEMO_BASE ]] || { echo "$DEMO_BASE is still there" >&2; exit 1; }
diff <(echo "$before") <(inventory) || { echo "the demo left something behind" >&2; exit 1; }
