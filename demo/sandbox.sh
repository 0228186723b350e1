# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this use them
# Sourced: where the demo lives. Everything of it is below one directory, named by DEMO_BASE.

sandbox=$(realpath --canonicalize-missing "${DEMO_BASE:-/var/lib/op-dbus-demo}")
# A directory without this file is not the demo's, and is left alone.
marker=$sandbox/.op-dbus-demo
base=$sandbox/base
run_dir=$sandbox/ovs

if ((EUID != 0)); then
    echo "the demo makes file systems, bridges and containers: run it as root" >&2
    exit 1
fi
