#!/usr/bin/env bash
# Runs a command beside a demo of its own, which it takes away again whatever happens:
#
#   checks/browser/demo.sh COMMAND…
#
# Links, mounts and ports are in namespaces of their own. DEMO_PROGRAM is the program, if it is not to be built;
# DEMO_BASE where the demo is, if not in a directory of its own.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

if [[ -z ${OPDBUS_BESIDE_DEMO-} ]]; then
    export OPDBUS_BESIDE_DEMO=1
    # Within there is no network that what it is built of could come from.
    [[ -n ${DEMO_PROGRAM-} ]] || "$here/../../scripts/build.sh" >/dev/null
    exec unshare --net --mount --propagation private "$0" "$@"
fi

DEMO_BASE=${DEMO_BASE:-$(mktemp --directory --tmpdir op-dbus-page-XXXXXX)}
export DEMO_BASE
log=$(mktemp)
tidy() {
    "$here/../../demo/down.sh" >"$log" 2>&1 || cat "$log" >&2
    rm -f "$log"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ip link set lo up
"$here/../../demo/up.sh" >"$log" 2>&1 || { cat "$log" >&2 && exit 1; }
"$@"
