#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing. Services that come with them are not
# started: the tests and the demo run their own.
set -euo pipefail

missing=()
for package in "$@"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || state=
    [[ $state == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
    echo "this is not Debian: install what these packages hold by hand: ${missing[*]}" >&2
    exit 1
fi
if ((EUID != 0)); then
    echo "these packages are missing and installing them takes root: ${missing[*]}" >&2
    echo "    sudo apt-get install ${missing[*]}" >&2
    exit 1
fi

# Exit status 101 of this file forbids the start of services (Debian policy, invoke-rc.d).
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
tidy() {
    rm -f "$log"
    [[ -z ${made_policy-} ]] || rm -f "$policy"
}
trap tidy EXIT
if [[ ! -e $policy ]]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -qq --yes --no-install-recommends "${missing[@]}")
# A machine that has never listed its packages, or not for long, lists them first.
if ! "${install[@]}" </dev/null >"$log" 2>&1; then
    if ! { apt-get update -qq && "${install[@]}"; } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
fi
