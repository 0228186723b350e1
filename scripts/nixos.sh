#!/usr/bin/env bash
# The NixOS half. Without nixpkgs every file is parsed and the lock is checked; with NIXPKGS=TREE everything is
# evaluated, and where programs to boot it are at hand (NIXLAB=DIRECTORY) hosts are booted.
#
#   scripts/nixos.sh             check, and print a summary
#   scripts/nixos.sh golden      write checks/golden anew
#   scripts/nixos.sh options     write docs/reference/options.md anew
#
# NIXPKGS   a tree of nixpkgs, or one that stands in for it
# DISKO     a tree of disko (default: a stand-in that knows the layout's file systems)
# NIXLAB    a directory with the programs nix, boot, exec and down (default: the one beside this checkout, if any)
#
# Sourced, it only defines `nixos`.
set -euo pipefail

nixos_root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
nixos_lab=
nixos_tree=

# A copy without what is built, since a flake takes its whole directory along.
nixos_prepare() {
    local lab=${NIXLAB:-$nixos_root/../shared/nixlab}
    nixos_work=$(mktemp --directory --tmpdir op-dbus-nixos-XXXXXX)
    nixos_tree=$nixos_work/tree
    mkdir "$nixos_tree"
    git -C "$nixos_root" ls-files -z --cached --others --exclude-standard |
        (cd "$nixos_root" && xargs --null --no-run-if-empty ls -d 2>/dev/null) |
        tar --create --directory="$nixos_root" --files-from=- | tar --extract --directory="$nixos_tree"
    if [[ -e $lab/nix ]]; then
        nixos_lab=$nixos_work/lab
        cp --recursive --dereference "$lab" "$nixos_lab"
        chmod -R u+w "$nixos_lab"
        # Where links were flattened the programs have lost their other names.
        local name
        for name in nix-build nix-store nix-instantiate; do
            ln --symbolic --force nix "$nixos_lab/$name"
        done
    fi
    nixos_overrides=(
        --no-write-lock-file
        --override-input nixpkgs "path:$NIXPKGS"
        --override-input disko "path:${DISKO:-$nixos_tree/checks/without-disko}"
    )
}

# nix with flakes, whichever there is.
nixos_nix() {
    if [[ -n $nixos_lab ]]; then
        "$nixos_lab/nix" "$@"
    else
        nix --extra-experimental-features 'nix-command flakes' "$@"
    fi
}

# nixos_eval ATTRIBUTE OPTION…
nixos_eval() {
    nixos_nix eval "${nixos_overrides[@]}" "path:$nixos_tree#$1" "${@:2}"
}

# What is evaluated without the flake.
nixos_expression() {
    nixos_nix eval --impure --json --expr "
        let
          lib = import $NIXPKGS/lib;
          pkgs = import $NIXPKGS { };
          evaluate = import $nixos_tree/checks/evaluate.nix { inherit lib pkgs; };
        in $1"
}

nixos_parse() {
    local file bad=0
    while read -r file; do
        nix-instantiate --parse --store dummy:// "$file" >/dev/null || bad=1
    done < <(find "$nixos_root" -name target -prune -o -name '*.nix' -print)
    return "$bad"
}

nixos_lock() {
    local problems
    problems=$(nix-instantiate --eval --strict --json --store dummy:// "$nixos_root/checks/lock.nix" | jq --raw-output '.[]')
    [[ -z $problems ]] || { echo "$problems" >&2 && return 1; }
}

nixos_flake() {
    nixos_nix flake check --no-build "${nixos_overrides[@]}" "path:$nixos_tree" 2>"$nixos_work/flake" ||
        { tail -n 40 "$nixos_work/flake" >&2 && return 1; }
}

# What a type refuses has no sentence of ours that Nix code could read; a person reads it in the error.
nixos_refused() {
    local file message bad=0
    for file in "$nixos_tree"/checks/refused/*.nix; do
        message=$(nixos_expression "(import $file).message" | jq --raw-output .)
        if nixos_expression "let found = evaluate.problems (import $file).config; in
            if found == [ ] then true else throw (lib.concatStringsSep \"\\n\" found)" >/dev/null 2>"$nixos_work/refused"; then
            echo "${file##*/}: it was accepted" >&2
            bad=1
        elif ! tr '\n' ' ' <"$nixos_work/refused" | grep --quiet --fixed-strings -- "$message"; then
            echo "${file##*/}: nothing says \"$message\", but:" >&2
            tail -n 5 "$nixos_work/refused" >&2
            bad=1
        fi
    done
    return "$bad"
}

# The program of this tree must accept what hosts and examples declare.
nixos_declarations() {
    local bad=0 name all=$nixos_work/declarations
    {
        nixos_eval nixosConfigurations --json --apply 'hosts:
            builtins.mapAttrs (_: host: host.config.services.operation-dbus.declaration)
              (builtins.removeAttrs hosts [ "installer" ])' 2>/dev/null
        nixos_expression "lib.mapAttrs' (file: _: lib.nameValuePair \"example \${file}\"
            (evaluate.example (import ($nixos_tree/checks/examples + \"/\${file}\"))))
            (builtins.readDir $nixos_tree/checks/examples)"
    } >"$all"
    while read -r name; do
        jq --slurp --arg name "$name" 'add[$name]' "$all" >"$nixos_work/declaration.json"
        "$nixos_program" check "$nixos_work/declaration.json" >"$nixos_work/check" 2>&1 ||
            { echo "$name:" && cat "$nixos_work/check" && bad=1; } >&2
    done < <(jq --raw-output --slurp 'add | keys[]' "$all")
    (($(jq --slurp 'add | length' "$all") > 10)) || { echo "there are too few declarations" >&2 && return 1; }
    return "$bad"
}

# The system that a build makes of the program of this tree, and of a busybox that needs no libraries.
nixos_prebuilt() {
    local busybox
    mkdir -p "$nixos_work/prebuilt"/{op-dbus,busybox}/bin
    cp "$nixos_program" "$nixos_work/prebuilt/op-dbus/bin/op-dbus"
    busybox=$(command -v busybox)
    cp --dereference "$busybox" "$nixos_work/prebuilt/busybox/bin/busybox"
}

nixos_units() {
    NIXLAB_PREBUILT=$nixos_work/prebuilt nixos_nix build --impure --no-link "${nixos_overrides[@]}" \
        "path:$nixos_tree#checks.x86_64-linux.units" 2>"$nixos_work/units" || { tail -n 30 "$nixos_work/units" >&2 && return 1; }
}

nixos_static() {
    if ! command -v nix-instantiate >/dev/null; then
        skip "NixOS: syntax and lock" "nix-instantiate is not installed"
        return
    fi
    check "NixOS: every file parses" nixos_parse
    check "NixOS: the lock is whole" nixos_lock
}

nixos() {
    nixos_static
    if [[ -z ${NIXPKGS-} ]]; then
        skip "NixOS: evaluation" "NIXPKGS names no tree of nixpkgs; the files were parsed, not evaluated"
        return
    fi
    NIXPKGS=$(realpath "$NIXPKGS")
    nixos_prepare
    nixos_program=$("$nixos_root/scripts/build.sh" 2>/dev/null)
    check "NixOS: flake" nixos_flake
    check "NixOS: refused configurations" nixos_refused
    check "NixOS: declarations" nixos_declarations
    if [[ -n $nixos_lab && -x $nixos_lab/boot ]]; then
        nixos_prebuilt
        check "NixOS: units" nixos_units
        # shellcheck source=checks/boot/boot.sh
        source "$nixos_root/checks/boot/boot.sh"
        nixos_boot
    else
        skip "NixOS: boot" "NIXLAB names no directory with programs that boot a configuration"
    fi
    rm -rf "$nixos_work"
}

nixos_golden() {
    local name all=$nixos_work/golden
    nixos_eval nixosConfigurations --json --apply 'hosts:
        builtins.mapAttrs (_: host: host.config.services.operation-dbus.declaration)
          (builtins.removeAttrs hosts [ "installer" ])' >"$all"
    while read -r name; do
        jq --arg name "$name" '.[$name]' "$all" >"$nixos_root/checks/golden/$name.json"
        echo "checks/golden/$name.json"
    done < <(jq --raw-output 'keys[]' "$all")
}

nixos_options() {
    nixos_eval packages.x86_64-linux.docs.text --raw >"$nixos_work/options.md"
    cp "$nixos_work/options.md" "$nixos_root/docs/reference/options.md"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    cd "$nixos_root/agent"
    # shellcheck source=scripts/toolchain.sh
    source ../scripts/toolchain.sh
    # shellcheck source=scripts/report.sh
    source ../scripts/report.sh
    case ${1:-check} in
        check)
            nixos
            summary
            ;;
        golden | options)
            [[ -n ${NIXPKGS-} ]] || { echo "NIXPKGS has to name a tree of nixpkgs" >&2 && exit 2; }
            NIXPKGS=$(realpath "$NIXPKGS")
            # What is written does not have to be right before.
            mkdir -p "$nixos_root/checks/golden"
            touch "$nixos_root/docs/reference/options.md"
            nixos_prepare
            "nixos_$1" 2>/dev/null
            rm -rf "$nixos_work"
            ;;
        *)
            sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
            exit 2
            ;;
    esac
fi
