#!/usr/bin/env bash
# What scripts/install.sh puts on a Debian host: units that systemd accepts, policies that the bus and polkit obey, on a
# bus of its own. Takes root.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

if [[ ${1-} != --inside ]]; then
    for needed in busctl dbus-daemon setpriv systemd-analyze systemd-sysusers unshare; do
        command -v "$needed" >/dev/null || {
            echo "SKIPPED: $needed is missing; install it with scripts/packages.sh dbus-daemon systemd util-linux"
            exit 77
        }
    done
    if ((EUID != 0)) || ! unshare --mount true 2>/dev/null; then
        echo "SKIPPED: this takes root and name spaces of mounts"
        exit 77
    fi
    exec timeout 120 unshare --mount --propagation private "$0" --inside
fi

work=$(mktemp -d)
chmod 0755 "$work"
background=()
tidy() {
    local each
    for each in "${background[@]}"; do
        kill "$each" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap tidy EXIT

passed=0
failures=0
holds() {
    local what=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failures=$((failures + 1))
        echo "FAILED  $what"
        sed 's/^/    /' "$work/output"
    fi
}

## What is installed

# A program that can be asked for its pages is enough.
mkdir -p "$work/target/release"
printf '#!/bin/sh\necho "$@"\n' >"$work/target/release/op-dbus"
chmod +x "$work/target/release/op-dbus"
root=$work/root
install_sh() {
    CARGO_TARGET_DIR=$work/target DESTDIR=$root PREFIX=/usr/local "$here/../../scripts/install.sh" "$@"
}
holds "it is installed" install_sh
(cd "$root" && find . -type f -o -type l | sort) >"$work/installed"

## Units

mkdir "$work/units"
for unit in "$root"/usr/local/lib/systemd/system/*; do
    sed "s|=/usr/local/bin/|=$root/usr/local/bin/|" "$unit" >"$work/units/${unit##*/}"
done
# It ends well with warnings too.
accepted() {
    systemd-analyze verify --man=no "$work"/units/*.{service,socket} >"$work/verify" 2>&1 || return
    ! grep --fixed-strings "$work/units/" "$work/verify"
}
holds "systemd accepts the units" accepted
holds "the daemon's unit is no more exposed than it has to be" \
    systemd-analyze security --offline=true --no-pager --threshold=67 "$work/units/op-dbusd.service"
holds "nor is that of the web server" \
    systemd-analyze security --offline=true --no-pager --threshold=15 "$work/units/op-dbus-web.service"
holds "the chat's other name leads to it" grep --quiet '^Alias=mcp-chat.service$' "$work/units/op-dbus-web.service"
holds "nor is that of the witness" \
    systemd-analyze security --offline=true --no-pager --threshold=15 "$work/units/op-dbus-witness.service"
# As an administrator would for a web server that starts other programs, listens for others, or asks a model elsewhere.
for loosened in upstreams tls model; do
    install -D --mode=0644 "$root/usr/local/share/op-dbus/op-dbus-web-$loosened.conf" \
        "$work/units/op-dbus-web.service.d/loosened.conf"
    holds "systemd accepts what loosens it for $loosened" accepted
    holds "and it is exposed no more than that" \
        systemd-analyze security --offline=true --no-pager --threshold=15 "$work/units/op-dbus-web.service"
done
holds "the group of the socket is made" systemd-sysusers --root="$root" op-dbus.conf
holds "and has its name" grep --quiet '^opdbus:' "$root/etc/group"

## The bus

mount -t tmpfs -o mode=0755 run /run
mkdir /run/dbus
sed -e '/<fork\/>/d; /<syslog\/>/d; /<pidfile>/d; /<user>/d; /<includedir>system.d/d' \
    -e "s|<includedir>/etc/dbus-1/system.d|<includedir>$root/etc/dbus-1/system.d|" \
    -e 's|</busconfig>|<includedir>/usr/share/dbus-1/system.d</includedir></busconfig>|' \
    /usr/share/dbus-1/system.conf >"$work/system.conf"
dbus-daemon --config-file="$work/system.conf" --nofork --nopidfile 2>"$work/bus.log" &
background+=($!)
timeout 10 bash -c 'until [[ -S /run/dbus/system_bus_socket ]]; do sleep 0.05; done' || cat "$work/bus.log"

# own USER NAME: may take the name.
own() {
    setpriv --reuid="$1" --clear-groups busctl --system call org.freedesktop.DBus /org/freedesktop/DBus \
        org.freedesktop.DBus RequestName su "$2" 4
}
refused() {
    ! "$@" >"$work/refused" 2>&1 && grep --quiet --ignore-case "denied" "$work/refused"
}
for name in org.opdbus1 org.dbusmcp.Agent.Executor; do
    holds "root may be $name" own root "$name"
    holds "nobody else may" refused own daemon "$name"
done

## polkit

if [[ -x /usr/lib/polkit-1/polkitd ]]; then
    mount -t tmpfs -o mode=0755 actions /usr/share/polkit-1/actions
    install --mode=0644 "$root/usr/share/polkit-1/actions/org.opdbus1.policy" /usr/share/polkit-1/actions
    for directory in /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d; do
        mount -t tmpfs -o mode=0755 rules "$directory"
    done
    # As modules/daemon.nix fills it in.
    access='{
      "viewer": { "users": ["daemon"], "groups": ["games"] },
      "operator": { "users": ["bin"], "groups": [] },
      "admin": { "users": ["sys"], "groups": [] }
    }'
    access=${access//$'\n'/}
    sed "s|@access@|$access|" "$here/../../modules/polkit.js" |
        install --mode=0644 /dev/stdin /etc/polkit-1/rules.d/10-op-dbus.rules
    /usr/lib/polkit-1/polkitd --no-debug >"$work/polkit.log" 2>&1 &
    background+=($!)
    timeout 10 bash -c 'until busctl --system status org.freedesktop.PolicyKit1; do sleep 0.1; done' >/dev/null 2>&1 ||
        cat "$work/polkit.log"

    # may USER STATUS ACTION…: how polkit answers, 0 for yes, 2 for a password first.
    may() {
        local user=$1 expected=$2 action status=0 process bad=0
        shift 2
        setpriv --reuid="$user" --regid="$user" --init-groups sleep 60 &
        process=$!
        background+=("$process")
        # Until it has become that user, it is root's.
        timeout 5 bash -c "until [[ \$(stat -c %U /proc/$process) == $user ]]; do sleep 0.02; done"
        for action; do
            status=0
            pkcheck --process "$process" --action-id "org.opdbus1.$action" || status=$?
            ((status == expected)) || { echo "$user, $action: $status" && bad=1; }
        done
        kill "$process"
        return "$bad"
    }
    holds "a viewer looks" may daemon 0 read
    holds "and changes nothing without a password" may daemon 2 write destroy
    holds "so does a member of a group with the role" may games 0 read
    holds "an operator looks and changes" may bin 0 read write
    holds "and destroys nothing without a password" may bin 2 destroy
    holds "an admin looks and changes" may sys 0 read write
    holds "and says who they are before they destroy" may sys 2 destroy
    holds "who has no role is asked for a password" may man 2 read write destroy
    rm /etc/polkit-1/rules.d/10-op-dbus.rules
    holds "and so is everybody where no rule says otherwise" may bin 2 read write destroy
else
    echo "polkit is not installed, so nobody was asked"
fi

## What is enabled

# Programs that write down what they are asked, and a server that listens at $LISTEN.
fakes=$work/fakes
mkdir "$fakes"
for name in systemctl systemd-sysusers ufw; do
    # shellcheck disable=SC2016 # it is expanded by the shell that runs it
    printf '#!/bin/sh\necho "%s $*" >>"$ASKED"\n[ "$1" != status ] || echo "Status: active"\n' "$name" >"$fakes/$name"
done
# shellcheck disable=SC2016
printf '#!/bin/sh\n[ "$*" != "--json web --check" ] || echo "{ \\"listen\\": \\"$LISTEN\\" }"\n' >"$work/target/release/op-dbus"
chmod +x "$fakes"/*
mount -t tmpfs -o mode=0755 policies /etc/dbus-1/system.d
mount -t tmpfs -o mode=0755 policies /usr/share/polkit-1/actions
# enables LISTEN OPTION: what was asked, and what was said.
enables() {
    rm -f "$work/asked"
    env ASKED="$work/asked" LISTEN="$1" PATH="$fakes:$PATH" CARGO_TARGET_DIR="$work/target" PREFIX="$work/prefix" \
        "$here/../../scripts/install.sh" "$2" >"$work/said" &&
        grep --quiet --line-regexp 'systemctl enable --now op-dbusd.service op-dbus-web.service' "$work/asked"
}
opens() {
    grep --quiet "^ufw allow 8443/tcp" "$work/asked"
}
says() {
    grep --quiet "^  ufw allow 8443/tcp" "$work/said"
}
holds "the daemon and the web server are enabled" enables 127.0.0.1:8080 --enable
holds "and no firewall is spoken of, since nobody else gets there" test -z "$(grep ufw "$work/asked" "$work/said")"
holds "they are enabled where others get there" enables 0.0.0.0:8443 --enable
holds "and what the firewall needs is said" says
holds "and not done" test -z "$(grep '^ufw allow' "$work/asked")"
holds "unless it is asked for" enables 0.0.0.0:8443 --open-firewall
holds "and then it is" opens
holds "a loopback address opens nothing" enables '[::1]:8443' --open-firewall
holds "as it should" test -z "$(grep '^ufw allow' "$work/asked")"

## What is taken away

holds "it is taken away again" install_sh --remove
left() {
    (cd "$root" && while read -r file; do [[ ! -e $file && ! -L $file ]] || { echo "$file" && exit 1; }; done <"$work/installed")
}
holds "and nothing is left" left

echo "$passed passed, $failures failed"
((failures == 0))
