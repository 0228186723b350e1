#!/usr/bin/env bash
# Takes the demo away: containers, switch, mounts, loop device, links, directory. May be repeated, and
# works after a demo that stopped half way.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
# shellcheck source=demo/sandbox.sh
source "$here/sandbox.sh"

if [[ ! -d $sandbox ]]; then
    echo "there is no demo at $sandbox"
    exit
fi
if [[ ! -e $marker ]]; then
    echo "$sandbox is not the demo's: nothing was touched" >&2
    exit 1
fi

# gone SECONDS COMMAND…: waits until the command fails.
gone() {
    local tries=$(($1 * 10))
    shift
    while "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

stop_containers() {
    local path=$base/@containers name
    [[ -d $path ]] || return 0
    while read -r name; do
        [[ -n $name ]] || continue
        lxc-stop --lxcpath="$path" --name="$name" --kill || true
    done < <(lxc-ls --lxcpath="$path" --running -1)
}

# Where systemd runs the machine it runs the containers too, by a unit template named after the base.
remove_units() {
    local units=/run/systemd/system stem
    stem=op-dbus-container-$(printf %s "$base" | sha256sum | cut -c 1-8)
    [[ -e $units/$stem@.service ]] || return 0
    systemctl stop "$stem@*.service" || true
    rm -f "$units"/*.wants/"$stem"@*.service "$units/$stem@.service"
    systemctl daemon-reload
    systemctl reset-failed "$stem@*.service" || true
}

# The links that the switch's ports stand for.
ports() {
    ovs-vsctl --timeout=5 --db="unix:$run_dir/db.sock" --bare --columns=name list Interface \
        2>/dev/null || true
}

# stop_daemon NAME [OPTION]: asks it to go, then makes it.
stop_daemon() {
    local pid
    ovs-appctl --timeout=10 --target="$run_dir/$1.ctl" exit ${2:+"$2"} >/dev/null 2>&1 || true
    pid=$(cat "$run_dir/$1.pid" 2>/dev/null) || return 0
    # The number may be another process's by now.
    [[ $(readlink "/proc/$pid/exe") == */$1 ]] || return 0
    gone 5 test -d "/proc/$pid" || kill -KILL "$pid"
    gone 5 test -d "/proc/$pid"
}

remove_links() {
    local link
    for link in "$@"; do
        gone 5 ip link show dev "$link" || ip link delete dev "$link" || true
    done
}

# The datapath in user space has a link of its own, which a killed switch leaves behind. Another
# switch may have one of the same name.
remove_datapath() {
    [[ ! -e $run_dir/conf.db ]] || pgrep --exact --ns $$ --nslist net ovs-vswitchd >/dev/null || remove_links ovs-netdev
}

# unmounted SECONDS: tries until the base can be unmounted.
unmounted() {
    local tries=$(($1 * 10))
    until umount "$base" 2>/dev/null; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

unmount_base() {
    local device
    # Busy while the last container is still on its way out.
    while mountpoint --quiet "$base"; do
        unmounted 5 || umount --lazy "$base"
    done
    while read -r device; do
        [[ -z $device ]] || losetup --detach "$device" || true
    done < <(losetup --noheadings --output NAME --associated "$sandbox/base.img" 2>/dev/null)
}

# stop_program NAME
stop_program() {
    local pid
    pid=$(runs "$1") || return 0
    kill "$pid"
    gone 10 test -d "/proc/$pid" || kill -KILL "$pid"
    gone 5 test -d "/proc/$pid"
}

stop_program op-dbus-web
# Before the containers, since it would start again what is stopped.
stop_program op-dbusd
stop_containers
remove_units
mapfile -t links < <(ports)
stop_daemon ovs-vswitchd --cleanup
stop_daemon ovsdb-server
remove_links "${links[@]}"
remove_datapath
unmount_base
rm -rf --one-file-system "$sandbox" "/run/lxc/lock$sandbox"
echo "the demo is gone; the packages that it installed stay"
