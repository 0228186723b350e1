#!/usr/bin/env bash
# Installs one of the hosts that an image knows onto one disk of this machine.
set -euo pipefail

settings=${OP_DBUS_INSTALL_SETTINGS:-/etc/op-dbus/installer.json}
log=/var/log/op-dbus-install.log
root=/mnt
# The disk layout of every host names this link, so that its disko script fits whatever disk is chosen.
link=/dev/disk/by-op-dbus/system

usage() {
    cat <<'HELP'
Usage: op-dbus-install list
       op-dbus-install hosts
       op-dbus-install install --host NAME [--disk RULE] [--wipe DISK]... [--dry-run] [--yes]
       op-dbus-install unattended

list        Shows the disks of this machine: size, serial number, what is on them.
hosts       Shows the hosts that can be installed.
install     Installs a host onto a disk.
unattended  Installs as the image and the kernel command line say; does nothing if they do not say.

--host NAME    the host to install
--disk RULE    the disk to install onto (default: only):
                 only           the only fixed disk
                 smallest       the smallest fixed disk
                 largest        the largest fixed disk
                 serial:NUMBER  the disk with this serial number
                 by-id:NAME     the disk that /dev/disk/by-id/NAME is
                 /dev/...       the disk at this path
--wipe DISK    allow the disk with this serial number, or this name in /dev/disk/by-id, to lose what
               it holds; without it a disk that holds something is refused
--dry-run      say what would be done, and do nothing
--yes          do not ask

Exit status: 0 done, 1 failed, 2 the command or the choice of the disk is wrong, 3 the disk is refused.
HELP
}

# Programs that block on a console without a reader must not hold up an installation.
consoles=()
say() {
    local device
    printf '%s\n' "$*"
    { printf '%s\n' "$*" >>"$log"; } 2>/dev/null || true
    for device in "${consoles[@]}"; do
        [[ -c $device ]] || continue
        { printf '%s\r\n' "$*" | timeout 2 tee "$device" >/dev/null; } 2>/dev/null || true
    done
}

wrong() {
    say "$@" >&2
    exit 2
}

refuse() {
    say "$@" >&2
    exit 3
}

setting() {
    [[ -r $settings ]] || wrong "$settings is missing: this system is not an installer of operation-dbus"
    jq --raw-output "$@" "$settings"
}

setting_of_host() {
    jq --raw-output --arg host "$1" --arg name "$2" '.hosts[$host][$name] // ""' "$settings"
}

host_names() {
    setting '.hosts | keys | join(", ")'
}

## The disks of this machine

disks=()
declare -A size serial model removable locked used content

read_disks() {
    local tree name bytes ro loose number kind users
    tree=$(lsblk --json --bytes --paths --output NAME,TYPE,SIZE,RO,RM,TRAN,SERIAL,MODEL,MOUNTPOINTS)
    while IFS=$'\x1f' read -r name bytes ro loose number kind users; do
        # A container can see disks that it cannot use.
        [[ -b $name ]] || continue
        disks+=("$name")
        size[$name]=$bytes
        locked[$name]=$ro
        removable[$name]=$loose
        serial[$name]=$number
        model[$name]=$kind
        used[$name]=$users
        [[ -n $users ]] || used[$name]=$(btrfs_user "$name")
        content[$name]=$(content_of "$name")
    done < <(jq --raw-output --arg loop "${OP_DBUS_INSTALL_LOOP-}" '
        def text: (. // "") | tostring | gsub("^\\s+|\\s+$"; "");
        .blockdevices[]
        | select(.type == "disk" or (.type == "loop" and $loop == "1"))
        | select(.name | test("/(zram|ram|fd)[0-9]|/mmcblk[0-9]+(boot|rpmb)") | not)
        | select((.size // 0 | tonumber) > 0)
        | ([.. | objects | .mountpoints? // [] | .[] | select(. != null)]) as $mounts
        | ([.children[]? | .. | objects | select(has("type") and .type != "part")]) as $holders
        | [ .name, (.size | tostring), (.ro | tostring), ((.rm or .tran == "usb") | tostring),
            (.serial | text), (.model | text),
            if $mounts != [] then "mounted at " + ($mounts | unique | join(" and "))
            elif $holders != [] then "part of " + ($holders | map(.type + " " + .name) | unique | join(" and "))
            else "" end ]
        | join("\u001f")' <<<"$tree")
}

devices_of() {
    lsblk --noheadings --list --paths --output NAME,TYPE "$1" | sed -nE 's/ +(disk|loop|part)$//p'
}

# The mount table names one disk of a btrfs file system that has several.
btrfs_user() {
    local device member
    while read -r device; do
        for member in /sys/fs/btrfs/*/devices/"${device##*/}"; do
            if [[ -e $member ]]; then
                echo "part of a mounted btrfs file system"
                return
            fi
        done
    done < <(devices_of "$1")
}

content_of() {
    local devices device kinds='' found
    devices=$(devices_of "$1") && [[ -n $devices ]] || devices=$1
    while read -r device; do
        if found=$(wipefs --no-act --noheadings --output TYPE "$device" 2>/dev/null); then
            kinds+=$found$'\n'
        else
            kinds+=$'unreadable\n'
        fi
    done <<<"$devices"
    sed '/^$/d; /^PMBR$/d' <<<"$kinds" | awk '!seen[$0]++' | paste --serial --delimiters=, | sed 's/,/, /g'
}

names_of() {
    local disk=$1 name
    for name in /dev/disk/by-id/*; do
        [[ ! -e $name || $(readlink --canonicalize "$name") != "$disk" ]] || echo "${name##*/}"
    done
}

describe() {
    local disk=$1 text
    text="$disk  $(numfmt --to=iec --suffix=B "${size[$disk]}")"
    [[ -z ${model[$disk]} ]] || text+="  ${model[$disk]}"
    text+="  serial ${serial[$disk]:-none}"
    text+="  holds ${content[$disk]:-nothing}"
    [[ ${removable[$disk]} == false ]] || text+="  removable"
    [[ ${locked[$disk]} == false ]] || text+="  read-only"
    [[ -z ${used[$disk]} ]] || text+="  in use: ${used[$disk]}"
    echo "$text"
}

describe_all() {
    local disk
    for disk in "$@"; do
        echo "    $(describe "$disk")"
    done
}

list_disks() {
    local disk name
    read_disks
    ((${#disks[@]})) || wrong "this machine has no disk"
    for disk in "${disks[@]}"; do
        describe "$disk"
        while read -r name; do
            echo "    by-id:$name"
        done < <(names_of "$disk")
    done
}

## The choice

fixed_disks() {
    local disk
    for disk in "${disks[@]}"; do
        if [[ ${removable[$disk]} == false && ${locked[$disk]} == false && -z ${used[$disk]} ]]; then
            echo "$disk"
        fi
    done
}

disk=
choose_disk() {
    local rule=$1 candidates=() matches=() each best=
    case $rule in
        only | smallest | largest)
            mapfile -t candidates < <(fixed_disks)
            if ((${#candidates[@]} == 0)); then
                wrong "there is no disk to install onto: it has to be fixed, writable and not in use." \
                    $'The disks of this machine are\n'"$(describe_all "${disks[@]}")"
            fi
            for each in "${candidates[@]}"; do
                case $rule in
                    smallest) [[ -z $best || ${size[$each]} -lt $best ]] && best=${size[$each]} ;;
                    largest) [[ -z $best || ${size[$each]} -gt $best ]] && best=${size[$each]} ;;
                    only) ;;
                esac
            done
            for each in "${candidates[@]}"; do
                [[ -n $best && ${size[$each]} != "$best" ]] || matches+=("$each")
            done
            ;;
        serial:?*)
            for each in "${disks[@]}"; do
                [[ ${serial[$each]} != "${rule#serial:}" ]] || matches+=("$each")
            done
            ;;
        by-id:?* | /dev/*)
            best=$rule
            [[ $rule == /dev/* ]] || best=/dev/disk/by-id/${rule#by-id:}
            best=$(readlink --canonicalize "$best" || true)
            for each in "${disks[@]}"; do
                [[ $each != "$best" ]] || matches+=("$each")
            done
            ;;
        *)
            wrong "\"$rule\" does not say which disk:" \
                "write only, smallest, largest, serial:NUMBER, by-id:NAME or a path below /dev"
            ;;
    esac
    if ((${#matches[@]} == 0)); then
        wrong "no disk of this machine is \"$rule\"."$' The disks are\n'"$(describe_all "${disks[@]}")"
    elif ((${#matches[@]} > 1)); then
        wrong "\"$rule\" fits ${#matches[@]} disks; name one of them with serial:NUMBER or by-id:NAME:"$'\n'"$(
            describe_all "${matches[@]}"
        )"
    fi
    disk=${matches[0]}
}

may_wipe() {
    local allowed name other alike=0
    for other in "${disks[@]}"; do
        [[ ${serial[$other]} != "${serial[$disk]}" ]] || alike=$((alike + 1))
    done
    for allowed in "$@"; do
        [[ -n $allowed ]] || continue
        [[ $allowed != "${serial[$disk]}" || $alike != 1 ]] || return 0
        while read -r name; do
            [[ $allowed != "$name" && $allowed != "/dev/disk/by-id/$name" ]] || return 0
        done < <(names_of "$disk")
    done
    return 1
}

check_disk() {
    local name
    [[ -z ${used[$disk]} ]] ||
        refuse "$disk is in use (${used[$disk]}). A disk in use is never installed onto; take it out of use first."
    [[ ${locked[$disk]} == false ]] || refuse "$disk is read-only; choose another disk."
    [[ -n ${content[$disk]} ]] || return 0
    may_wipe "$@" && return
    name=${serial[$disk]:-$(names_of "$disk" | head -n 1)}
    if [[ -n $name ]]; then
        refuse "$disk holds data (${content[$disk]}). To lose it, say --wipe $name"
    fi
    refuse "$disk holds data (${content[$disk]}) and has no serial number to name it by." \
        "To lose the data, run: wipefs --all $disk"
}

# The installed system finds its partitions by label, so that a second disk with the same labels would
# be as good as the first.
check_other_disks() {
    local other
    for other in "${disks[@]}"; do
        [[ $other != "$disk" ]] || continue
        if sfdisk --json "$other" 2>/dev/null |
            jq --exit-status 'any(.partitiontable.partitions[]?.name; . != null and startswith("op-dbus-"))' \
                >/dev/null; then
            refuse "$other already holds a system of operation-dbus. With a second one on $disk it would be" \
                "chance which of them starts; unplug $other, or clear it with: wipefs --all $other"
        fi
    done
}

## The installation

step=0
doing=
untouched="nothing was changed on it"
state=$untouched
next() {
    step=$((step + 1))
    doing=$1
    say "[$step/5] $1"
}

failed() {
    trap - ERR
    # A failure inside a pipe or a substitution is told once, by whoever waits for it.
    ((BASH_SUBSHELL == 0)) || exit 1
    say "Failed while: $doing" >&2
    say "The disk${disk:+ $disk}: $state." >&2
    if [[ $state != "$untouched" ]]; then
        release || say "$root is still mounted; unmount it with: umount --recursive $root" >&2
        say "To try again, allow the disk to be wiped with --wipe." >&2
    fi
    say "The log is $log" >&2
    exit 1
}

run() {
    "$@" </dev/null 2>&1 | tee --append "$log"
}

release() {
    ! mountpoint --quiet "$root" || umount --recursive "$root"
    rm -f "$link"
}

parameter() {
    local words word value=
    read -ra words </proc/cmdline
    for word in "${words[@]}"; do
        [[ $word != "op-dbus.$1="* ]] || value=${word#*=}
    done
    echo "$value"
}

check_system() {
    local toplevel=$1 cache=$2 hash
    [[ ! -e $toplevel ]] || return 0
    [[ -n $cache ]] || wrong "$toplevel is not in this image, and nothing says where to fetch it from:" \
        "start the machine with op-dbus.cache=URL on the kernel command line"
    hash=${toplevel##*/}
    curl --fail --silent --show-error --retry 5 --output /dev/null "$cache/${hash%%-*}.narinfo" ||
        wrong "$cache does not have $toplevel: is the PXE server running, and made of the same configuration?"
}

confirm() {
    local answer=
    [[ -t 0 ]] || wrong "this overwrites $disk; say --yes to do it without being asked"
    read -rp "Everything on $disk will be lost. Type its name to go on: " answer
    [[ $answer == "$disk" ]] || wrong "not installed"
}

install_host() {
    local host='' rule=only wipe=() dry='' yes='' hosts toplevel disko cache report
    while (($#)); do
        case $1 in
            --host | --disk | --wipe) [[ -n ${2-} ]] || wrong "$1 needs a value; see: op-dbus-install --help" ;;&
            --host) host=$2 ;;
            --disk) rule=$2 ;;
            --wipe) wipe+=("$2") ;;
            --dry-run) dry=yes ;;
            --yes) yes=yes ;;
            *) wrong "unknown option $1; see: op-dbus-install --help" ;;
        esac
        [[ $1 == --dry-run || $1 == --yes ]] || shift
        shift
    done
    hosts=$(host_names)
    [[ -n $host ]] || wrong "say which host to install, with --host; there are: $hosts"
    toplevel=$(setting_of_host "$host" toplevel)
    disko=$(setting_of_host "$host" disko)
    [[ -n $toplevel && -n $disko ]] || wrong "there is no host \"$host\"; there are: $hosts"
    cache=$(parameter cache)
    report=$(parameter report)
    ((EUID == 0)) || wrong "installing takes root; try: sudo op-dbus-install"

    { : >"$log"; } 2>/dev/null || true
    set -E
    trap failed ERR
    next "Finding the disk ($rule)"
    read_disks
    choose_disk "$rule"
    say "      $(describe "$disk")"

    next "Checking $disk"
    check_disk "${wipe[@]}"
    check_other_disks
    if mountpoint --quiet "$root"; then
        refuse "$root is in use; unmount it with: umount --recursive $root"
    fi
    check_system "$toplevel" "$cache"
    [[ -d /sys/firmware/efi ]] || say "      This machine was not started by UEFI; most hosts need that to start."
    if [[ -n $dry ]]; then
        say "Would now partition and format $disk and install $host ($toplevel); nothing was done."
        return
    fi
    [[ -n $yes ]] || confirm

    next "Partitioning $disk"
    mkdir -p "${link%/*}"
    ln -sfn "$disk" "$link"
    state="its former content is lost, and it is not fully partitioned"
    run "$disko"
    mountpoint --quiet "$root" || {
        say "The disk layout of $host mounted nothing at $root" >&2
        false
    }

    next "Installing $host"
    state="it is partitioned and formatted, and the system on it is not complete"
    if [[ ! -e $toplevel ]]; then
        say "      Fetching the system from $cache"
        run nix --extra-experimental-features nix-command copy --no-check-sigs \
            --from "$cache" --to "$root" "$toplevel"
    fi
    run nixos-install --no-channel-copy --no-root-passwd --system "$toplevel" --root "$root"

    next "Finishing"
    jq --null-input --arg host "$host" --arg system "$toplevel" --arg disk "${serial[$disk]:-$disk}" \
        --arg at "$(date --utc +%Y-%m-%dT%H:%M:%SZ)" '{$host, $system, $disk, $at}' |
        install -D --mode=0644 /dev/stdin "$root/var/lib/op-dbus/installed.json"
    install -D --mode=0640 "$log" "$root/var/log/op-dbus-install.log"
    sync --file-system "$root/var/lib/op-dbus/installed.json"
    release
    trap - ERR
    if [[ -n $report ]] && ! curl --fail --silent --retry 5 --output /dev/null "$report"; then
        say "      $report could not be told; the PXE server may offer the installation again."
    fi
    say "Installed $host onto $disk."
}

## Unattended

unattended() {
    local host rule words=() allowed=() name afterwards
    mapfile -t consoles < <(setting '.consoles[]?')
    host=$(parameter host)
    [[ -n $host ]] || host=$(setting 'if .unattended.enable then .unattended.host // "" else "" end')
    if [[ -z $host ]]; then
        say "Nothing says to install a host onto this machine. By hand: op-dbus-install --help"
        return
    fi
    rule=$(parameter disk)
    [[ -n $rule ]] || rule=$(setting '.unattended.disk // "only"')
    mapfile -t allowed < <(
        setting '.unattended.allowWipe[]?'
        parameter wipe | tr , '\n'
    )
    for name in "${allowed[@]}"; do
        [[ -z $name ]] || words+=(--wipe "$name")
    done
    afterwards=$(parameter afterwards)
    [[ -n $afterwards ]] || afterwards=$(setting '.unattended.afterwards // "reboot"')
    install_host --host "$host" --disk "$rule" "${words[@]}" --yes
    case $afterwards in
        stay) ;;
        reboot | poweroff)
            say "Next: $afterwards"
            systemctl --no-block "$afterwards"
            ;;
        *) wrong "op-dbus.afterwards has to be reboot, poweroff or stay, not \"$afterwards\"" ;;
    esac
}

command=${1-}
shift || true
case $command in
    list) list_disks ;;
    hosts) setting '.hosts | keys[]' ;;
    install) install_host "$@" ;;
    unattended) unattended ;;
    -h | --help | help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
