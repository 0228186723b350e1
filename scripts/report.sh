# shellcheck shell=bash
# Sourced: runs steps, counts how they ended, and prints one summary of all.

passed=0
failed=0
failures=()
# One line `test: reason` for each test that could not run; the test lab appends to it.
OP_DBUS_SKIPPED=$(mktemp)
export OP_DBUS_SKIPPED
trap 'rm -f "$OP_DBUS_SKIPPED"' EXIT

say() {
    printf '\n==> %s\n' "$*"
}

# check NAME COMMAND…: a step that passes or fails.
check() {
    local name=$1
    shift
    say "$name"
    if "$@" </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        failures+=("$name")
    fi
}

# skip NAME REASON: a step that cannot run here.
skip() {
    say "$1"
    echo "SKIPPED: $2"
    echo "$1: $2" >>"$OP_DBUS_SKIPPED"
}

# The last line stands alone and is read by machines. Fails when anything failed or nothing ran.
summary() {
    local skipped
    skipped=$(wc -l <"$OP_DBUS_SKIPPED")
    say "Summary"
    ((failed == 0)) || printf 'FAILED   %s\n' "${failures[@]}"
    ((skipped == 0)) || sed 's/^/SKIPPED  /' "$OP_DBUS_SKIPPED"
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0 && passed > 0))
}
