#!/usr/bin/env bash
# Formatting, lints, documentation, shell scripts, and the licences and advisories of dependencies.
# Sourced, it only defines `lint`.
set -euo pipefail

lint() {
    check "Formatting" cargo fmt --all --check
    check "Lints" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
    check "Documentation" env RUSTDOCFLAGS="-D warnings" \
        cargo doc --workspace --no-deps --document-private-items --locked --quiet
    local scripts=(../.ci/run ../scripts/*.sh ../demo/*.sh ../checks/*/*.sh ../images/*/*.sh)
    if command -v shellcheck >/dev/null; then
        check "Shell scripts" shellcheck --external-sources --source-path=.. "${scripts[@]}"
    else
        skip "Shell scripts" "shellcheck is not installed"
    fi
    if command -v nixfmt >/dev/null; then
        check "Formatting of Nix files" nix_files nixfmt --check
    else
        skip "Formatting of Nix files" "nixfmt is not installed: cargo install nixfmt_rs --locked"
    fi
    if command -v deadnix >/dev/null; then
        check "Dead code in Nix files" nix_files deadnix --fail
    else
        skip "Dead code in Nix files" "deadnix is not installed: cargo install deadnix --locked"
    fi
    if command -v cargo-deny >/dev/null; then
        check "Licences and sources of dependencies" cargo deny --log-level error check \
            --hide-inclusion-graph licenses bans sources
        advisories
    else
        skip "Dependencies" "cargo-deny is not installed: cargo install cargo-deny --locked"
    fi
}

# nix_files COMMAND…: with all Nix files behind it.
nix_files() {
    find .. -name target -prune -o -name '*.nix' -print0 | xargs --null "$@"
}

# The list of advisories comes from the network.
advisories() {
    if cargo deny fetch db >/dev/null 2>&1; then
        check "Advisories on dependencies" cargo deny --log-level error --offline check advisories
    else
        skip "Advisories on dependencies" "the list of advisories cannot be fetched"
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    cd "$(dirname "$0")/../agent"
    # shellcheck source=scripts/toolchain.sh
    source ../scripts/toolchain.sh
    # shellcheck source=scripts/report.sh
    source ../scripts/report.sh
    lint
    summary
fi
