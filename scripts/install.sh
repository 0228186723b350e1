#!/usr/bin/env bash
# Installs the release binary, its manual page, its completions, its units and its policies below DESTDIR and PREFIX.
# Without an option no unit is enabled, and none is started anew.
#
#   --enable         enable and start the daemon and the web server too, and say what a firewall has to let through
#   --open-firewall  the same, and have ufw or firewalld let it through
#   --remove         take everything away again
set -euo pipefail
prefix=$(realpath --canonicalize-missing "${DESTDIR:-}${PREFIX:-/usr/local}")
root=$(realpath --canonicalize-missing "${DESTDIR:-}/")
root=${root%/}
cd "$(dirname "$0")/../agent"

binary=$prefix/bin/op-dbus
bridge=$prefix/bin/dbus-mcp-bridge
chat=$prefix/bin/mcp-chat
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
# Each takes effect where an administrator puts it.
drop_ins=$prefix/share/op-dbus
drop_in_names=(op-dbus-web-model.conf op-dbus-web-tls.conf op-dbus-web-upstreams.conf)
unit_names=(op-dbus-apply.service op-dbusd.service op-dbusd.socket op-dbus-web.service
    op-dbus-witness.service)

enable=false
open_firewall=false
case ${1:-} in
    '' | --remove) ;;
    --enable) enable=true ;;
    --open-firewall) enable=true open_firewall=true ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
esac
if $enable && [[ -n ${DESTDIR:-} ]]; then
    echo "units are enabled on the host itself: leave DESTDIR out" >&2
    exit 2
fi

if [[ ${1:-} == --remove ]]; then
    rm -fv "$binary" "$bridge" "$chat" "$manual" "$bash" "$zsh" "$fish" "${unit_names[@]/#/$units/}" "$group" "$activation" \
        "$bus" "$agents" "$actions" "${drop_in_names[@]/#/$drop_ins/}"
    exit
fi

built=${CARGO_TARGET_DIR:-target}/release/op-dbus
install -D --mode=0755 "$built" "$binary"
ln -sf op-dbus "$bridge"
ln -sf op-dbus "$chat"
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
for name in "${drop_in_names[@]}"; do
    install -D --mode=0644 "../images/debian/$name" "$drop_ins/$name"
done
install -D --mode=0644 ../images/debian/org.opdbus1.service "$activation"
install -D --mode=0644 ../images/debian/org.opdbus1.conf "$bus"
install -D --mode=0644 ../images/debian/org.dbusmcp.Agent.conf "$agents"
install -D --mode=0644 ../images/debian/org.opdbus1.policy "$actions"
echo "installed $binary; begin with: op-dbus doctor"

# Where others than this host may reach the web server: its port, or nothing.
outer_port() {
    local listen
    listen=$("$binary" --json web --check 2>/dev/null | sed -n 's/.*"listen": *"\([^"]*\)".*/\1/p')
    case $listen in
        '' | 127.* | '[::1]'*) ;;
        *) echo "${listen##*:}" ;;
    esac
}

# firewall COMMAND…: what lets the web server through, said or done.
firewall() {
    if $open_firewall; then
        "$@"
    else
        echo "  $*"
    fi
}

# What each firewall on this host needs. One that is not at work is left alone.
let_through() {
    local port=$1
    if command -v ufw >/dev/null && ufw status | grep --quiet '^Status: active'; then
        firewall ufw allow "$port/tcp" comment 'op-dbus web'
    fi
    if command -v firewall-cmd >/dev/null && firewall-cmd --quiet --state 2>/dev/null; then
        firewall firewall-cmd --permanent --add-port="$port/tcp"
        firewall firewall-cmd --reload
    fi
}

if $enable; then
    systemd-sysusers
    systemctl daemon-reload
    systemctl enable --now op-dbusd.service op-dbus-web.service
    port=$(outer_port)
    if [[ -n $port ]]; then
        $open_firewall || echo "the web server listens for others too; what lets them through (--open-firewall does it):"
        let_through "$port"
    fi
    echo "enabled and started; to log in at the chat: op-dbus web login"
    exit
fi
echo "for the daemon and the chat: systemd-sysusers && systemctl daemon-reload && systemctl enable --now op-dbusd op-dbus-web"
