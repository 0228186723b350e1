#!/usr/bin/env bash
# Everything that is checked, with what it needs installed first, and one summary at the end.
set -euo pipefail
cd "$(dirname "$0")/../agent"

# shellcheck source=scripts/toolchain.sh
source ../scripts/toolchain.sh
# shellcheck source=scripts/report.sh
source ../scripts/report.sh
# shellcheck source=scripts/lint.sh
source ../scripts/lint.sh
# shellcheck source=scripts/nixos.sh
source ../scripts/nixos.sh

packages() {
    local npm=()
    # That of another source than Debian's comes with its Node.js, and would be in Debian's way.
    command -v npm >/dev/null || npm=(npm)
    ../scripts/packages.sh gcc libc6-dev btrfs-progs openvswitch-switch lxc uidmap busybox-static \
        mmdebstrap debootstrap iproute2 iputils-ping procps strace jq openssl shellcheck nix-bin \
        curl dnsmasq-base dosfstools fdisk gdisk ipxe parted python3 python3-openvswitch python3-venv "${npm[@]}" \
        golang-go golang-golang-x-mod-dev openssh-client openssh-server libcap2-bin sqlite3 btrbk diffutils attr nginx-light caddy \
        dbus libglib2.0-bin packagekit polkitd python3-dbus python3-dbusmock python3-gi systemd tzdata \
        chromium faketime fonts-dejavu-core wireguard-go wireguard-tools
}

# One process a test is what the test lab is made for.
runner() {
    command -v cargo-nextest >/dev/null && return
    echo "cargo-nextest is missing; building it takes some minutes, once"
    cargo install cargo-nextest --locked --quiet </dev/null || true
}

# count_report REPORT SKIPPED: adds the counts of a JUnit report; tests that skipped themselves passed
# as far as the runner knows.
count_report() {
    local report=$1 skipped=$2 all bad
    all=$(sed -n 's/.*<testsuites .*tests="\([0-9]*\)".*/\1/p' "$report")
    bad=$(sed -n 's/.*<testsuites .*failures="\([0-9]*\)" errors="\([0-9]*\)".*/\1+\2/p' "$report")
    bad=$((bad))
    failed=$((failed + bad))
    passed=$((passed + all - bad - skipped))
    ((bad == 0)) || mapfile -t -O "${#failures[@]}" failures < <(failed_tests "$report")
}

# The names of the test cases that hold a failure or an error.
failed_tests() {
    awk -F'"' '/<testcase /{name=$2" in "$4} /<(failure|error) /{print name}' "$1"
}

unit_and_system_tests() {
    local report=target/nextest/ci/junit.xml skipped
    runner
    skipped=$(wc -l <"$OP_DBUS_SKIPPED")
    say "Unit and system tests"
    rm -f "$report"
    cargo nextest run --profile ci --workspace --locked --cargo-quiet --status-level slow \
        --final-status-level fail </dev/null || true
    if [[ -s $report ]]; then
        count_report "$report" $(($(wc -l <"$OP_DBUS_SKIPPED") - skipped))
    else
        failed=$((failed + 1))
        failures+=("unit and system tests: they could not be built or run")
    fi
}

doc_tests() {
    local log
    say "Documentation tests"
    log=$(mktemp)
    if cargo test --workspace --doc --locked --quiet </dev/null >"$log" 2>&1; then
        passed=$((passed + $(awk '/^test result:/{sum += $4} END{print sum + 0}' "$log")))
    else
        cat "$log"
        failed=$((failed + 1))
        failures+=("documentation tests")
    fi
    rm -f "$log"
}

# The demo, in namespaces of its own, must work and leave nothing behind.
demo() {
    if ((EUID != 0)); then
        skip "Demo" "needs root"
        return
    fi
    check "Demo" unshare --net --mount --propagation private ../demo/check.sh
}

# What hosts are installed with, on disks and networks of its own.
# The page of the chat too, in a browser.
shell_tests() {
    local script status reason
    for script in ../checks/shell/*.sh ../scripts/browser.sh; do
        if ((EUID != 0)); then
            skip "${script##*/}" "needs root"
            continue
        fi
        say "${script##*/}"
        status=0
        "$script" </dev/null 2>&1 | tee "$OP_DBUS_SKIPPED.log" || status=${PIPESTATUS[0]}
        reason=$(sed -n 's/^SKIPPED: //p' "$OP_DBUS_SKIPPED.log")
        rm -f "$OP_DBUS_SKIPPED.log"
        case $status in
            0) passed=$((passed + 1)) ;;
            77) echo "${script##*/}: $reason" >>"$OP_DBUS_SKIPPED" ;;
            *) failed=$((failed + 1)) && failures+=("${script##*/}") ;;
        esac
    done
}

say "What the tests need"
if ! packages; then
    echo "going on without; tests that need them are skipped or fail"
fi
if OP_DBUS_PYTHON=$(../scripts/python.sh); then
    export OP_DBUS_PYTHON
else
    echo "going on without; tests that need them are skipped"
fi
lint
unit_and_system_tests
doc_tests
demo
shell_tests
nixos
summary
