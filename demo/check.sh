#!/usr/bin/env bash
# The demo as a test: it must come up, come up again, go, and leave nothing behind. Run it in network
# and mount namespaces of its own.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
DEMO_BASE=$(mktemp --directory --tmpdir op-dbus-demo-XXXXXX)
export DEMO_BASE

# What the machine has of each thing that the demo makes.
inventory() {
    echo "links: $(ip -brief link show | cut -d' ' -f1 | sort | tr '\n' ' ')"
    echo "mounts: $(findmnt --noheadings --output TARGET --list | sort | tr '\n' ' ')"
    echo "images: $(losetup --noheadings --output BACK-FILE --list | grep -F "$DEMO_BASE" || true)"
    echo "locks: $(find /run/lxc -path "*$DEMO_BASE*" 2>/dev/null || true)"
    echo "processes: $(pgrep --full "$DEMO_BASE" | grep --invert-match "^$$\$" || true)"
}

# logs_in FILE: the link that was printed logs in, once, and shows the three containers.
logs_in() {
    local link site names jar=$DEMO_BASE/cookies
    link=$(grep --only-matching 'http://[^ ]*/login.html#[A-Za-z0-9_-]*' "$1" | tail -n 1)
    site=${link%%/login.html*}
    post() {
        # Its body comes by standard input, as a secret should.
        curl --silent --output /dev/null --write-out '%{http_code}' --cookie-jar "$jar" --header "Origin: $site" \
            --header 'Content-Type: application/json' --data @- "$site/api/login" <<<"{\"code\": \"${link##*#}\"}"
    }
    [[ $(post) == 200 ]] || { echo "$link does not log in" >&2 && return 1; }
    names=$(curl --silent --fail --cookie "$jar" "$site/api/containers" |
        jq --raw-output '[.containers[].name] | sort | join(" ")')
    [[ $names == "db-01 web-01 web-02" ]] || { echo "the page would show: $names" >&2 && return 1; }
    [[ $(post) == 401 ]] || { echo "$link logs in twice" >&2 && return 1; }
    curl --silent --fail "$site/chat.html" | grep --quiet --ignore-case '<html'
}

ip link set lo up
before=$(inventory)
trap '"$here/down.sh" || true' EXIT
"$here/up.sh"
"$here/up.sh" | tee "$DEMO_BASE/said" >/dev/null
logs_in "$DEMO_BASE/said"
"$here/down.sh"
trap - EXIT
"$here/down.sh"

[[ ! -e $DEMO_BASE ]] || { echo "$DEMO_BASE is still there" >&2; exit 1; }
diff <(echo "$before") <(inventory) || { echo "the demo left something behind" >&2; exit 1; }
