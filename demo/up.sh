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
    port=$(web_port)
    sed "s|/var/lib/op-dbus-demo|$sandbox|g; s|:8080 .*|:$port|" "$here/demo.yaml" >"$sandbox/demo.yaml"
}

# Where the web server listens, or else the first port from 8080 on at which nobody answers.
web_port() {
    local port=8080
    if runs op-dbus-web >/dev/null; then
        cat "$run_dir/op-dbus-web.port"
        return
    fi
    while answers_at "$port"; do
        port=$((port + 1))
    done
    echo "$port" | tee "$run_dir/op-dbus-web.port"
}

answers_at() {
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

answers() {
    ovs-appctl --timeout=5 --target="$run_dir/$1.ctl" version >/dev/null 2>&1
}

# Its own pair, so that the machine's bridges are never touched.
start_switch() {
    export OVS_RUNDIR=$run_dir OVS_DBDIR=$run_dir OVS_LOGDIR=$run_dir
    local common=(--verbose=console:off --detach --no-chdir --log-file)
    if ! answers ovsdb-server; then
        [[ -e $run_dir/conf.db ]] ||
            ovsdb-tool create "$run_dir/conf.db" "${OVS_SCHEMA:-/usr/share/openvswitch/vswitch.ovsschema}"
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
    local message="hello from web-01, $RANDOM"
    agent container exec db-01 -- killall syslogd 2>/dev/null || true
    op container exec db-01 -- ln -sf /run/op-dbus/self/log /dev/log
    op container exec db-01 -- syslogd -O /tmp/messages
    op container exec web-01 -- ln -sf /run/op-dbus/peers/db-01/log /dev/log
    op container exec web-01 -- logger "$message"
    received "$message"
    op container exec db-01 -- tail -n 1 /tmp/messages
}

# received TEXT: waits until db-01 has read it.
received() {
    local tries=50
    until agent container exec db-01 -- grep -qF "$1" /tmp/messages; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

# Without a name on the bus, which may have a daemon already.
start_daemon() {
    local tries=100
    if ! runs op-dbusd >/dev/null; then
        "$program" --file "$sandbox/demo.yaml" daemon --no-bus --jsonrpc "$run_dir/jsonrpc.sock" \
            </dev/null >"$run_dir/op-dbusd.log" 2>&1 &
        echo $! >"$run_dir/op-dbusd.pid"
        disown
    fi
    until [[ -S $base/sockets/api/opdbus.sock ]]; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

# As a user without rights, who gets to the daemon's socket and to nothing else.
start_web() {
    local tries=100
    if ! runs op-dbus-web >/dev/null; then
        install -d --mode=0700 --owner="$web_uid" --group="$web_uid" "$sandbox/web"
        chgrp "$web_uid" "$run_dir/jsonrpc.sock"
        setpriv --reuid="$web_uid" --regid="$web_uid" --clear-groups --no-new-privs \
            "$chat/current/bin/mcp-chat" --file "$sandbox/demo.yaml" --socket "$run_dir/jsonrpc.sock" \
            --state "$sandbox/web" </dev/null >"$run_dir/op-dbus-web.log" 2>&1 &
        echo $! >"$run_dir/op-dbus-web.pid"
        disown
    fi
    until answers_at "$port"; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
    tail -n 1 "$run_dir/op-dbus-web.log"
}

runs_again() {
    local tries=300
    until [[ $(lxc-info --lxcpath="$base/@containers" --name=web-01 --state --no-humanize) == RUNNING ]] &&
        agent verify >/dev/null 2>&1; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
    echo "web-01 runs again"
}

# Whoever brings the program brings what it needs too.
if [[ -n ${DEMO_PROGRAM-} ]]; then
    program=$DEMO_PROGRAM
else
    say "Installing what the demo needs"
    "$here/../scripts/packages.sh" gcc libc6-dev btrfs-progs openvswitch-switch lxc uidmap busybox-static \
        iproute2 procps jq util-linux
    echo "all there"

    say "Building op-dbus"
    program=$("$here/../scripts/build.sh")
    echo "$program"
fi

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

say "Starting the daemon, which keeps it so"
start_daemon
op status

say "Killing a container, which the daemon starts again"
lxc-stop --lxcpath="$base/@containers" --name=web-01 --kill
runs_again
op container exec web-01 -- ping -c 1 -W 2 10.99.0.12

say "Calling a tool by the daemon's socket"
op tool call ledger_verify

say "Reading the ledger, and verifying its chain"
op ledger log -n 12
op ledger verify

say "Deploying the web server, beside which later versions will lie"
# No unit serves it here; one of the machine's own is left alone.
op web deploy --directory "$chat" --unit op-dbus-demo.service
start_web

cat <<END

It works. Look around with
    $program --file $sandbox/demo.yaml query
or in a browser on this machine, as root; the link is good once, within five minutes:

    ${bold}$(agent --json web login | jq --raw-output .url)${plain}

Another link: $program --file $sandbox/demo.yaml web login
Take it all away with \`make demo-down\`.
END
