#!/usr/bin/env bash
# Shows operation-dbus working, in a sandbox of its own; demo/down.sh takes it away again.
set -eEuo pipefail
here=$(realpath "$(dirname "$0")")
# shellcheck source=demo/sandbox.sh
source "$here/sandbox.sh"

bold=$'\e[1m' plain=$'\e[0m'
if [[ ! -t 1 || -n ${NO_COLOR-} ]]; then
    bold='' plain=''
fi

step=0
doing="the preparation"
say() {
    step=$((step + 1))
    doing=$1
    printf '\n%s%s. %s%s\n' "$bold" "$step" "$1" "$plain"
}

failed() {
    cat >&2 <<END

The demo failed while: $doing
Open vSwitch's logs are in $run_dir; \`make demo-down\` takes everything away.
END
    exit 1
}
trap failed ERR

agent() {
    "$program" --yes --file "$sandbox/demo.yaml" "$@"
}

# Shows a command as a person would type it, and runs it.
op() {
    printf '$ op-dbus %s\n' "$*"
    agent "$@"
}

prepare_sandbox() {
    if [[ -d $sandbox && ! -e $marker && -n $(ls -A "$sandbox") ]]; then
        echo "$sandbox holds something else; name another directory with DEMO_BASE=" >&2
        return 1
    fi
    install -d --mode=0755 "$sandbox" "$run_dir"
    touch "$marker"
    sed "s|/var/lib/op-dbus-demo|$sandbox|g" "$here/demo.yaml" >"$sandbox/demo.yaml"
}

answers() {
    ovs-appctl --timeout=5 --target="$run_dir/$1.ctl" version >/dev/null 2>&1
}

# Its own pair, so that the machine's bridges are never touched.
start_switch() {
    export OVS_RUNDIR=$run_dir OVS_DBDIR=$run_dir OVS_LOGDIR=$run_dir
    local common=(--detach --no-chdir --log-file --verbose=console:off)
    if ! answers ovsdb-server; then
        [[ -e $run_dir/conf.db ]] ||
            ovsdb-tool create "$run_dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
        ovsdb-server "${common[@]}" --pidfile="$run_dir/ovsdb-server.pid" \
            --unixctl="$run_dir/ovsdb-server.ctl" --remote="punix:$run_dir/db.sock" "$run_dir/conf.db"
        ovs-vsctl --db="unix:$run_dir/db.sock" --no-wait init
    fi
    if ! answers ovs-vswitchd; then
        ovs-vswitchd "${common[@]}" --pidfile="$run_dir/ovs-vswitchd.pid" \
            --unixctl="$run_dir/ovs-vswitchd.ctl" --disable-system "unix:$run_dir/db.sock"
    fi
    answers ovs-vswitchd
}

# The message must be read in the one container as it was written in the other. The system log is
# the one service and client of a Unix socket that busybox has.
exchange_over_socket() {
    local socket=log message="hello from web-01, $RANDOM"
    op container exec db-01 -- sh -c "ln -sf /run/op-dbus/self/$socket /dev/log; rm -f /tmp/log
        kill \$(pidof syslogd) 2>/dev/null; syslogd -O /tmp/log"
    op container exec web-01 -- sh -c "ln -sf /run/op-dbus/peers/db-01/$socket /dev/log; logger '$message'"
    op container exec db-01 -- sh -c "for i in 1 2 3 4 5 6 7 8 9 10; do
        grep -F '$message' /tmp/log && exit; sleep 0.2; done; exit 1"
}

say "Installing what the demo needs"
"$here/../scripts/packages.sh" gcc libc6-dev btrfs-progs openvswitch-switch lxc uidmap busybox-static \
    iproute2 jq
echo "all there"

say "Building op-dbus"
program=$("$here/../scripts/build.sh")
echo "$program"

say "Preparing the sandbox $sandbox, with an Open vSwitch of its own"
prepare_sandbox
start_switch
cat "$sandbox/demo.yaml"

say "Checking the declaration"
op check

say "Showing what would change"
op plan

say "Making it so"
op apply

say "Making it so again, which must change nothing"
op apply
[[ $(agent --json apply | jq --raw-output .outcome) == unchanged ]]

say "Reading everything back from the system"
op verify
op container list

say "Pinging one container from another, through the bridge"
op container exec web-01 -- ping -c 3 -W 2 10.99.0.12

say "Sending a message from one container to another, through a Unix socket"
exchange_over_socket

say "Reading the ledger, and verifying its chain"
op ledger log -n 12
op ledger verify

cat <<END

It works. Look around with
    $program --file $sandbox/demo.yaml query
and take it away with \`make demo-down\`.
END
