#!/usr/bin/env bash
# Installs the release binary, its manual page, its completions, its units and its policies below DESTDIR and PREFIX,
# or, with --remove, takes them away again. No unit is enabled, and none is started anew.
set -euo pipefail
prefix=$(realpath --canonicalize-missing "${DESTDIR:-}${PREFIX:-/usr/local}")
root=$(realpath --canonicalize-missing "${DESTDIR:-}/")
root=${root%/}
cd "$(dirname "$0")/../agent"

binary=$prefix/bin/op-dbus
bridge=$prefix/bin/dbus-mcp-bridge
manual=$prefix/share/man/man1/op-dbus.1
bash=$prefix/share/bash-completion/completions/op-dbus
zsh=$prefix/share/zsh/site-functions/_op-dbus
fish=$prefix/share/fish/vendor_completions.d/op-dbus.fish
units=$prefix/lib/systemd/system
group=$prefix/lib/sysusers.d/op-dbus.conf
activation=$prefix/share/dbus-1/system-services/org.opdbus1.service
# The bus and polkit look below /usr/local for neither.
bus=$root/etc/dbus-1/system.d/org.opdbus1.conf
agents=$root/etc/dbus-1/system.d/org.dbusmcp.Agent.conf
actions=$root/usr/share/polkit-1/actions/org.opdbus1.policy
# Takes effect where an administrator puts it.
upstreams=$prefix/share/op-dbus/op-dbus-web-upstreams.conf
unit_names=(op-dbus-apply.service op-dbusd.service op-dbusd.socket op-dbus-web.service
    op-dbus-witness.service)

if [[ ${1:-} == --remove ]]; then
    rm -fv "$binary" "$bridge" "$manual" "$bash" "$zsh" "$fish" "${unit_names[@]/#/$units/}" "$group" "$activation" \
        "$bus" "$agents" "$actions" "$upstreams"
    exit
fi

built=${CARGO_TARGET_DIR:-target}/release/op-dbus
install -D --mode=0755 "$built" "$binary"
ln -sf op-dbus "$bridge"
generate() {
    local file=$1
    shift
    "$built" "$@" | install -D --mode=0644 /dev/stdin "$file"
}
generate "$manual" man
generate "$bash" completions bash
generate "$zsh" completions zsh
generate "$fish" completions fish
for unit in "${unit_names[@]}"; do
    sed "s|@prefix@|${PREFIX:-/usr/local}|" "../images/debian/$unit" |
        install -D --mode=0644 /dev/stdin "$units/$unit"
done
install -D --mode=0644 ../images/debian/op-dbus.sysusers "$group"
install -D --mode=0644 ../images/debian/op-dbus-web-upstreams.conf "$upstreams"
install -D --mode=0644 dbus/org.opdbus1.service "$activation"
install -D --mode=0644 dbus/org.opdbus1.conf "$bus"
install -D --mode=0644 dbus/org.dbusmcp.Agent.conf "$agents"
install -D --mode=0644 dbus/org.opdbus1.policy "$actions"
echo "installed $binary; begin with: op-dbus doctor"
echo "for the daemon: systemd-sysusers && systemctl daemon-reload && systemctl enable --now op-dbusd"
