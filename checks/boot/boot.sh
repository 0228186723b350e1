# shellcheck shell=bash disable=SC2154 # scripts/nixos.sh sets what is not set here
# Sourced by scripts/nixos.sh: boots hosts for real, as containers and in QEMU, and looks at them from the outside.

# The machine's devices that the agent's images and switches need.
boot_devices() {
    cat >"$nixos_work/autodev" <<'END'
#!/bin/sh
dev=$LXC_ROOTFS_MOUNT/dev
mknod "$dev/loop-control" c 10 237
i=0
while [ $i -lt 64 ]; do
    mknod "$dev/loop$i" b 7 $i
    i=$((i + 1))
done
exit 0
END
    chmod +x "$nixos_work/autodev"
    # A network card that leads nowhere.
    cat >"$nixos_work/devices.conf" <<END
lxc.hook.autodev = $nixos_work/autodev
lxc.net.0.type = veth
lxc.net.0.name = eth0
lxc.net.0.flags = up
END
}

# What the package has besides its program: what the bus and polkit read.
boot_policies() {
    local share=$nixos_work/prebuilt/op-dbus/share source=$nixos_root/images/debian
    install -D --mode=0644 --target-directory="$share/dbus-1/system.d" "$source/org.opdbus1.conf" \
        "$source/org.dbusmcp.Agent.conf"
    install -D --mode=0644 --target-directory="$share/dbus-1/system-services" "$source/org.opdbus1.service"
    install -D --mode=0644 --target-directory="$share/polkit-1/actions" "$source/org.opdbus1.policy"
}

# boot_up HOST OPTION…: boots it, or switches what is up.
boot_up() {
    local host=$1
    shift
    timeout 600 "$nixos_lab/boot" --nixpkgs "$NIXPKGS" --prebuilt "$nixos_work/prebuilt" "$@" \
        "path:$nixos_tree" "$host" --override-input disko "path:${DISKO:-$nixos_tree/checks/without-disko}" \
        >"$nixos_work/boot-$host" 2>&1
}

# boot_in HOST COMMAND…
boot_in() {
    timeout 120 "$nixos_lab/exec" "$@" </dev/null
}

# What op-dbus says in JSON; a virtual machine sends its warnings along.
boot_json() {
    boot_in "$1" op-dbus --json "${@:2}" | sed -n '/^{/,$p'
}

boot_fail() {
    echo "$1: $2" >&2
    boot_in "$1" journalctl --unit op-dbus-apply --unit op-dbusd --output cat --no-pager --lines 25 >&2 || tail -n 20 "$nixos_work/boot-$1" >&2
    return 1
}

# The units of ours that failed.
boot_failed_units() {
    boot_in "$1" systemctl list-units --failed --no-legend --plain 'op-dbus*' 'container@*'
}

# The process ids of the demo's containers.
boot_inits() {
    local name
    for name in web-01 db-01 batch; do
        boot_in demo lxc-info -P /var/lib/op-dbus/@containers -n "$name" -p -H
    done
}

# A host of the demo's declaration is what it should be.
boot_demo_is_right() {
    local host=demo
    [[ $(boot_in $host systemctl is-active op-dbus-apply) == active ]] || { boot_fail $host "not applied" || return; }
    boot_in $host op-dbus verify >/dev/null || { boot_fail $host "not converged" || return; }
    [[ $(boot_json $host container list | jq '[.containers[] | select(.state.running)] | length') -ge 3 ]] ||
        { boot_fail $host "containers do not run" || return; }
    boot_in $host op-dbus container exec web-01 -- ping -c 1 -W 2 10.99.0.12 >/dev/null ||
        { boot_fail $host "containers do not reach each other" || return; }
    # The host's packet filter is on.
    boot_in $host op-dbus container exec web-01 -- ping -c 1 -W 2 10.99.0.1 >/dev/null ||
        { boot_fail $host "containers do not reach the host" || return; }
    boot_in $host op-dbus ledger verify >/dev/null || { boot_fail $host "the ledger is not valid" || return; }
    [[ -z $(boot_failed_units $host) ]] || { boot_fail $host "$(boot_failed_units $host)" || return; }
    boot_in $host systemctl restart op-dbus-apply || { boot_fail $host "not applied again" || return; }
    boot_in $host journalctl --unit op-dbus-apply --output cat --no-pager --lines 5 | grep --quiet 'Nothing to do' ||
        boot_fail $host "a second apply did something"
}

# The daemon runs, mends, answers by socket and by bus, and ends when it is told to.
boot_daemon_answers() {
    local host=demo socket answer
    boot_in $host timeout 30 bash -c 'until systemctl is-active --quiet op-dbusd; do sleep 0.1; done' ||
        { boot_fail $host "the daemon does not run" || return; }
    for socket in /run/op-dbus/jsonrpc.sock /var/lib/op-dbus/sockets/api/opdbus.sock; do
        [[ $(boot_in $host stat --format='%F %U:%G %a' $socket) == "socket root:opdbus 660" ]] ||
            { boot_fail $host "$socket is not a socket of the group" || return; }
    done
    boot_in $host ovs-ofctl --protocols=OpenFlow13 del-flows opdemo0
    boot_in $host systemctl reload op-dbusd
    boot_in $host timeout 30 bash -c 'until op-dbus --here verify; do sleep 0.5; done' >/dev/null ||
        { boot_fail $host "it does not mend" || return; }
    answer=$(boot_in $host busctl --json=short call org.opdbus1 /org/opdbus1 org.opdbus1.State Verify | sed -n '/^{/p')
    [[ $(jq --raw-output '.data[0] | fromjson | .converged' <<<"$answer") == true ]] ||
        { boot_fail $host "it does not answer on the bus: $answer" || return; }
    boot_in $host timeout 5 systemctl stop op-dbusd.service || { boot_fail $host "it does not end" || return; }
    # Asking starts it again.
    boot_in $host busctl call org.opdbus1 /org/opdbus1 org.opdbus1.State Verify >/dev/null ||
        boot_fail $host "the bus does not start it"
}

boot_demo_in_container() {
    boot_up demo --conf "$nixos_work/devices.conf" --module "$nixos_tree/checks/boot/in-container.nix" "$@" ||
        { boot_fail demo "it does not boot" || return; }
    boot_demo_is_right
}

boot_unconfirmed_switch_is_undone() {
    boot_state >"$nixos_work/before"
    if boot_up demo --switch --module "$nixos_tree/checks/boot/in-container.nix" --module "$nixos_tree/checks/boot/window.nix" \
        --module "$nixos_tree/checks/boot/changed.nix"; then
        boot_fail demo "what nobody confirmed was kept" || return
    fi
    boot_in demo journalctl --unit op-dbus-apply --output cat --no-pager --lines 10 |
        grep --quiet 'nobody confirmed it in time' || { boot_fail demo "it failed otherwise" || return; }
    boot_state >"$nixos_work/after"
    diff "$nixos_work/before" "$nixos_work/after" >&2 || boot_fail demo "the host is not as before"
}

boot_switch_keeps_containers() {
    local before
    before=$(boot_inits)
    boot_up demo --switch --module "$nixos_tree/checks/boot/in-container.nix" --module "$nixos_tree/checks/boot/changed.nix" ||
        { boot_fail demo "the switch failed" || return; }
    [[ $(boot_inits) == "$before" ]] || { boot_fail demo "containers were started anew" || return; }
    boot_in demo op-dbus container exec web-02 -- ping -c 1 -W 2 10.99.0.11 >/dev/null ||
        { boot_fail demo "the new container does not answer" || return; }
    boot_in demo op-dbus verify >/dev/null || boot_fail demo "not converged"
}

# boot_route LINK: the host's address and default route are there, as soon as networkd has come to it.
boot_route() {
    boot_in demo timeout 10 bash -c "until ip -4 address show dev $1 | grep --quiet 192.0.2.10/24 &&
        ip route | grep --quiet 'default via 192.0.2.1 dev $1'; do sleep 0.1; done" ||
        boot_fail demo "$1 has no address or no default route"
}

# The branch that an administrator sits on: their way in moves to a bridge, and back if nobody confirms it.
boot_uplink_moves_and_comes_back() {
    local modules=(--module "$nixos_tree/checks/boot/in-container.nix" --module "$nixos_tree/checks/boot/uplink.nix")
    boot_up demo --switch --module "$nixos_tree/checks/boot/in-container.nix" --module "$nixos_tree/checks/boot/card.nix" ||
        { boot_fail demo "the card has no address" || return; }
    boot_route eth0 || return
    if boot_up demo --switch "${modules[@]}"; then
        boot_fail demo "what nobody confirmed was kept" || return
    fi
    boot_route eth0 || return
    # Refused as long as there is nothing to confirm.
    timeout 60 bash -c "until '$nixos_lab/exec' demo op-dbus confirm </dev/null >/dev/null 2>&1; do sleep 0.5; done" &
    boot_up demo --switch "${modules[@]}" || { boot_fail demo "what was confirmed was undone" || return; }
    boot_route ovsbr0 || return
    boot_in demo op-dbus verify >/dev/null || boot_fail demo "not converged"
}

# What there is, without what changes by itself.
boot_state() {
    # How many units have failed, and the like, is systemd's own.
    boot_json demo query | jq --sort-keys 'del(.plugins.systemd1)'
    boot_in demo ovs-vsctl show | grep --invert-match error
    boot_in demo btrfs subvolume list /var/lib/op-dbus | sed 's/.* path //' | sort
    boot_inits
}

boot_bad_switch_changes_nothing() {
    boot_state >"$nixos_work/before"
    if boot_up demo --switch --module "$nixos_tree/checks/boot/in-container.nix" --module "$nixos_tree/checks/boot/broken.nix"; then
        boot_fail demo "a declaration that cannot work was applied" || return
    fi
    boot_in demo journalctl --unit op-dbus-apply --output cat --no-pager --lines 40 | grep --quiet '^undone create ovs/port:vlan10' ||
        { boot_fail demo "nothing had to be undone" || return; }
    [[ $(boot_in demo systemctl is-failed op-dbus-apply) == failed ]] || { boot_fail demo "the unit did not fail" || return; }
    boot_state >"$nixos_work/after"
    diff "$nixos_work/before" "$nixos_work/after" >&2 || boot_fail demo "the host is not as before"
}

# A host that needs what is not here boots as far as its programs go; what failed is said.
boot_other() {
    local host=$1 failed
    boot_up "$host" --conf "$nixos_work/devices.conf" --module "$nixos_tree/checks/boot/in-container.nix" ||
        { boot_fail "$host" "it does not boot" || return; }
    failed=$(boot_failed_units "$host")
    [[ -z $failed ]] || { boot_fail "$host" "$failed" || return; }
    boot_in "$host" op-dbus verify >/dev/null || boot_fail "$host" "not converged"
}

boot_demo_in_vm() {
    boot_up demo --vm --module "$nixos_tree/checks/boot/in-vm.nix" || { boot_fail demo "it does not boot" || return; }
    boot_demo_is_right || return
    boot_in demo ovs-dpctl show | grep --quiet opdemo0 || boot_fail demo "the bridge is not in the kernel"
}

# Under an older QEMU a recent kernel dies.
boot_has_qemu() {
    local version
    command -v qemu-system-x86_64 >/dev/null || "$nixos_root/scripts/packages.sh" qemu-system-x86 >/dev/null 2>&1 || true
    version=$(qemu-system-x86_64 --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')
    ((${version:-0} >= 8))
}

nixos_boot() {
    boot_devices
    boot_policies
    check "NixOS: the demo boots in a container" boot_demo_in_container
    check "NixOS: the daemon of the demo answers" boot_daemon_answers
    check "NixOS: the card moves into a bridge, or back" boot_uplink_moves_and_comes_back
    "$nixos_lab/down" demo
    check "NixOS: a boot waits for nobody" boot_demo_in_container --module "$nixos_tree/checks/boot/window.nix"
    check "NixOS: a switch that nobody confirms is undone" boot_unconfirmed_switch_is_undone
    check "NixOS: a switch converges and leaves containers alone" boot_switch_keeps_containers
    check "NixOS: a switch that cannot work changes nothing" boot_bad_switch_changes_nothing
    "$nixos_lab/down" demo
    local host
    for host in privacy-router workstation proxmox-host; do
        check "NixOS: $host boots in a container" boot_other "$host"
        "$nixos_lab/down" "$host"
    done
    if boot_has_qemu; then
        check "NixOS: the demo boots in QEMU" boot_demo_in_vm
        "$nixos_lab/down" demo
    else
        skip "NixOS: the demo boots in QEMU" "there is no QEMU of version 8 or later (Debian 12 has one in backports)"
    fi
}
