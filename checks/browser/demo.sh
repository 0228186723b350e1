#!/usr/bin/env bash
# Runs a command beside a demo of its own, which it takes away again whatever happens:
#
#   checks/browser/demo.sh COMMAND…
#
# Links, mounts and ports are in namespaces of their own. DEMO_PROGRAM is the program, if it is not to be built;
# DEMO_BASE where the demo is, if not in a directory of its own. The journal is one of its own too where
# systemd-journald is installed; DEMO_JOURNAL tells the command so.
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
journald=/lib/systemd/systemd-journald
journal=
tidy() {
    "$here/../../demo/down.sh" >"$log" 2>&1 || cat "$log" >&2
    [[ -z $journal ]] || kill "$journal" 2>/dev/null || true
    rm -f "$log"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_journal: what is written into it and read of it is not the journal of the machine.
start_journal() {
    local place
    mkdir -p /run/systemd/journal /run/log
    for place in /run/systemd/journal /run/log /var/log/journal; do
        [[ ! -d $place ]] || mount -t tmpfs tmpfs "$place"
    done
    "$journald" >/dev/null 2>&1 &
    journal=$!
    timeout 15 bash -c 'until [[ -S /run/systemd/journal/socket ]]; do sleep 0.05; done'
    export DEMO_JOURNAL=yes
}

ip link set lo up
[[ ! -x $journald ]] || start_journal
"$here/../../demo/up.sh" >"$log" 2>&1 || { cat "$log" >&2 && exit 1; }
"$@"
