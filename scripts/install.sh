#!/usr/bin/env bash
# Installs the release binary, its manual page, its completions and its unit below DESTDIR and PREFIX, or,
# with --remove, takes them away again. The unit is not enabled.
set -euo pipefail
prefix=$(realpath --canonicalize-missing "${DESTDIR:-}${PREFIX:-/usr/local}")
cd "$(dirname "$0")/../agent"

binary=$prefix/bin/op-dbus
manual=$prefix/share/man/man1/op-dbus.1
bash=$prefix/share/bash-completion/completions/op-dbus
zsh=$prefix/share/zsh/site-functions/_op-dbus
fish=$prefix/share/fish/vendor_completions.d/op-dbus.fish
unit=$prefix/lib/systemd/system/op-dbus-apply.service

if [[ ${1:-} == --remove ]]; then
    rm -fv "$binary" "$manual" "$bash" "$zsh" "$fish" "$unit"
    exit
fi

built=${CARGO_TARGET_DIR:-target}/release/op-dbus
install -D --mode=0755 "$built" "$binary"
generate() {
    local file=$1
    shift
    "$built" "$@" | install -D --mode=0644 /dev/stdin "$file"
}
generate "$manual" man
generate "$bash" completions bash
generate "$zsh" completions zsh
generate "$fish" completions fish
sed "s|@prefix@|${PREFIX:-/usr/local}|" ../images/debian/op-dbus-apply.service |
    install -D --mode=0644 /dev/stdin "$unit"
echo "installed $binary; begin with: op-dbus doctor"
