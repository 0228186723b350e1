# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this use them
# Sourced: where the demo lives. Everything of it is below one directory, named by DEMO_BASE.

sandbox=$(realpath --canonicalize-missing "${DEMO_BASE:-/var/lib/op-dbus-demo}")
# A directory without this file is not the demo's, and is left alone.
marker=$sandbox/.op-dbus-demo
base=$sandbox/base
run_dir=$sandbox/ovs
# Versions of the web server, which runs as a user without a name.
chat=$base/chat
web_uid=60010

# runs NAME: the process id that stands in NAME.pid, if that process is still ours.
runs() {
    local pid
    pid=$(cat "$run_dir/$1.pid" 2>/dev/null) || return 1
    # A program that was built anew meanwhile has " (deleted)" behind its name.
    [[ $(readlink "/proc/$pid/exe") == */op-dbus* ]] && echo "$pid"
}

if ((EUID != 0)); then
    echo "the demo makes file systems, bridges and containers: run it as root" >&2
    exit 1
fi
