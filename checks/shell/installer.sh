#!/usr/bin/env bash
# The rules by which the installer finds, refuses and fills a disk, on loop devices. Takes root.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
installer=$here/../../images/installer/install.sh

if [[ ${1-} != --inside ]]; then
    for program in btrfs curl jq losetup lsblk mkfs.btrfs mkfs.vfat python3 sfdisk sgdisk unshare wipefs; do
        command -v "$program" >/dev/null || {
            echo "SKIPPED: $program is missing; install it with scripts/packages.sh" \
                "btrfs-progs curl jq dosfstools python3 fdisk gdisk util-linux"
            exit 77
        }
    done
    if ((EUID != 0)) || ! losetup --find >/dev/null 2>&1; then
        echo "SKIPPED: this takes root and loop devices"
        exit 77
    fi
    exec timeout 300 unshare --mount --propagation private "$0" --inside
fi

work=$(mktemp -d)
made_disk_directory=
loops=()
server=
tidy() {
    local loop
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    ! mountpoint --quiet /mnt || umount --recursive /mnt
    [[ ! -d $work/held ]] || umount "$work/held" 2>/dev/null || true
    umount /dev/disk /proc/cmdline 2>/dev/null || true
    [[ -z $made_disk_directory ]] || rmdir /dev/disk 2>/dev/null || true
    for loop in "${loops[@]}"; do
        losetup --detach "$loop" || true
    done
    rm -rf "$work"
}
trap tidy EXIT

alpha='' beta='' gamma='' delta=''
passed=0
failures=0
output=
status=0
ran() {
    status=0
    output=$(PATH="$work/bin:$PATH" OP_DBUS_INSTALL_LOOP=1 OP_DBUS_INSTALL_SETTINGS="$work/settings.json" \
        timeout 60 "$installer" "$@" 2>&1 </dev/null) || status=$?
}

verdict() {
    local good=$1 what=$2
    if [[ $good == yes ]]; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failures=$((failures + 1))
        echo "FAILED  $what"
        echo "status $status, output:"
        printf '%s\n' "$output"
    fi
}

# check WHAT STATUS [TEXT...]: the last run ended so and said so.
check() {
    local what=$1 expected=$2 text good=yes
    shift 2
    [[ $status == "$expected" ]] || good=no
    for text in "$@"; do
        [[ $output == *"$text"* ]] || good=no
    done
    verdict "$good" "$what"
}

holds() {
    local what=$1
    shift
    if "$@"; then verdict yes "$what"; else verdict no "$what"; fi
}

disk() {
    local name=$1 bytes=$2 loop
    truncate --size="$bytes" "$work/$name.img"
    loop=$(losetup --find --show --partscan "$work/$name.img")
    loops+=("$loop")
    printf '%s %s\n' "$loop" "SN-${name^^}" >>"$work/serials"
    ln -s "$loop" "/dev/disk/by-id/virtio-$name"
    printf -v "$name" '%s' "$loop"
}

partition() {
    local loop=$1 label=$2
    sgdisk --new=1:0:0 --change-name="1:$label" "$loop" >/dev/null
    partx --update "$loop" 2>/dev/null
}

blank() {
    local device
    for device in "$@"; do
        wipefs --all --quiet "$device"p* 2>/dev/null || true
        wipefs --all --quiet "$device" 2>/dev/null
        partx --delete "$device" >/dev/null 2>&1 || true
    done
}

sums() {
    sha256sum "$work"/*.img
}

programs() {
    mkdir "$work/bin" "$work/system" "$work/held"
    lsblk=$(command -v lsblk)
    # Only the disks of this test and those that are no loop devices, with serial numbers.
    cat >"$work/bin/lsblk" <<FAKE
#!/usr/bin/env bash
set -euo pipefail
[[ " \$* " == *" --json "* ]] || exec $lsblk "\$@"
$lsblk "\$@" | jq --rawfile serials "$work/serials" '
    (\$serials | split("\n") | map(select(. != "") | split(" ") | {(.[0]): .[1]}) | add) as \$known
    | .blockdevices |= map(select(.type != "loop" or \$known[.name])
        | if \$known[.name] then .serial = \$known[.name] else . end
        | if .name == \$ENV.REMOVABLE then .rm = true else . end)'
FAKE
    cat >"$work/bin/disko" <<FAKE
#!/usr/bin/env bash
set -euo pipefail
disk=\$(readlink --canonicalize-existing /dev/disk/by-op-dbus/system)
echo "disko \$disk" >>"$work/calls"
[[ ! -e $work/disko-fails ]] || { echo "sgdisk: no space"; exit 4; }
partx --delete "\$disk" >/dev/null 2>&1 || true
wipefs --all --quiet "\$disk"
sgdisk --zap-all --new=1:0:+8M --change-name=1:op-dbus-esp --typecode=1:ef00 \
    --new=2:0:0 --change-name=2:op-dbus-system "\$disk" >/dev/null
partx --update "\$disk" 2>/dev/null
mkfs.vfat "\${disk}p1" >/dev/null
mkfs.btrfs --quiet --force "\${disk}p2" >/dev/null 2>&1
mount "\${disk}p2" /mnt
mkdir /mnt/boot
mount -t tmpfs tmpfs /mnt/boot
FAKE
    cat >"$work/bin/nixos-install" <<FAKE
#!/usr/bin/env bash
set -euo pipefail
echo "nixos-install \$*" >>"$work/calls"
[[ ! -e $work/install-fails ]] || { echo "error: no space left on device"; exit 1; }
mkdir -p /mnt/nix/store
FAKE
    cat >"$work/bin/nix" <<FAKE
#!/usr/bin/env bash
echo "nix \$*" >>"$work/calls"
FAKE
    cat >"$work/bin/systemctl" <<FAKE
#!/usr/bin/env bash
echo "systemctl \$*" >>"$work/calls"
FAKE
    chmod +x "$work"/bin/*
}

settings() {
    jq --null-input --arg system "$work/system" "{
        hosts: {
            demo: { toplevel: \$system, disko: \"disko\" },
            far: { toplevel: \"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-far\", disko: \"disko\" }
        },
        consoles: [],
        unattended: ${1:-{\}}
    }" >"$work/settings.json"
}

cmdline() {
    umount /proc/cmdline 2>/dev/null || true
    printf '%s\n' "$1" >"$work/cmdline"
    mount --bind "$work/cmdline" /proc/cmdline
}

called() {
    grep -qF -- "$1" "$work/calls"
}

not_called() {
    [[ ! -e $work/calls ]] || ! grep -qF -- "$1" "$work/calls"
}

if [[ ! -d /dev/disk ]]; then
    mkdir /dev/disk
    made_disk_directory=yes
fi
mount -t tmpfs tmpfs /dev/disk
mkdir /dev/disk/by-id
! mountpoint --quiet /mnt || umount --lazy /mnt
mount -t tmpfs tmpfs /var/log
: >"$work/serials"
programs
settings
cmdline "quiet"
export REMOVABLE=

## No disk, one disk, many disks

ran install --host demo --dry-run
check "no disk is an error that lists what there is" 2 "no disk to install onto"
ran install --host nobody
check "an unknown host is an error that names the known ones" 2 'no host "nobody"' "demo, far"
ran install
check "a missing host is an error" 2 "--host"

disk alpha 192M
ran list
check "the list tells size, serial number and content" 0 "$alpha" "192MB" "SN-ALPHA" "holds nothing" "by-id:virtio-alpha"
ran hosts
check "the hosts are listed" 0 demo far
before=$(sums)
ran install --host demo --dry-run
check "the only disk is found" 0 "[1/5]" "[2/5]" "Would now partition and format $alpha"
holds "a dry run changes nothing on the disk" test "$before" = "$(sums)"
holds "a dry run starts neither disko nor nixos-install" not_called disko
ran install --host demo
check "without a terminal nothing is installed unasked" 2 "--yes"

disk beta 160M
disk gamma 224M
ran install --host demo --disk only --dry-run
check "several disks are ambiguous, and listed" 2 "fits 3 disks" "$alpha" "$beta" "$gamma" "serial:NUMBER"
ran install --host demo --disk smallest --dry-run
check "smallest" 0 "Would now partition and format $beta"
ran install --host demo --disk largest --dry-run
check "largest" 0 "Would now partition and format $gamma"
ran install --host demo --disk serial:SN-ALPHA --dry-run
check "by serial number" 0 "Would now partition and format $alpha"
ran install --host demo --disk by-id:virtio-beta --dry-run
check "by id" 0 "Would now partition and format $beta"
ran install --host demo --disk /dev/disk/by-id/virtio-gamma --dry-run
check "by path, through a link" 0 "Would now partition and format $gamma"
ran install --host demo --disk serial:SN-NONE --dry-run
check "a serial number that no disk has" 2 'is "serial:SN-NONE"' "$alpha"
ran install --host demo --disk /dev/null --dry-run
check "a path that is no disk" 2 'is "/dev/null"'
ran install --host demo --disk first --dry-run
check "an unknown rule" 2 "does not say which disk"
REMOVABLE=$beta ran install --host demo --disk smallest --dry-run
check "a removable disk is not chosen by rule" 0 "Would now partition and format $alpha"
REMOVABLE=$beta ran install --host demo --disk serial:SN-BETA --dry-run
check "a removable disk can be named" 0 "Would now partition and format $beta"
blockdev --setro "$beta"
ran install --host demo --disk smallest --dry-run
check "a read-only disk is not chosen by rule" 0 "Would now partition and format $alpha"
ran install --host demo --disk "$beta" --dry-run
check "a read-only disk is refused" 3 "read-only"
blockdev --setrw "$beta"
disk delta 160M
ran install --host demo --disk smallest --dry-run
check "two smallest disks are ambiguous" 2 "fits 2 disks" "$beta" "$delta"

## Disks that hold data

mkfs.btrfs --quiet "$alpha" >/dev/null 2>&1
ran install --host demo --disk "$alpha" --yes
check "a file system is data" 3 "holds data (btrfs)" "--wipe SN-ALPHA"
ran install --host demo --disk "$alpha" --wipe SN-BETA --yes
check "leave to wipe another disk is no leave" 3 "holds data"
ran install --host demo --disk "$alpha" --wipe "$alpha" --yes
check "a path is no leave to wipe" 3 "holds data"
ran install --host demo --disk "$alpha" --wipe SN-ALPHA --dry-run
check "leave by serial number" 0 "Would now partition"
ran install --host demo --disk "$alpha" --wipe virtio-alpha --dry-run
check "leave by id" 0 "Would now partition"
blank "$alpha"
partition "$alpha" data
ran install --host demo --disk "$alpha" --yes
check "an empty partition table is data" 3 "holds data (gpt"
holds "nothing was started so far" not_called disko

## Disks in use

mkfs.btrfs --quiet "${alpha}p1" >/dev/null 2>&1
mount "${alpha}p1" "$work/held"
ran install --host demo --disk "$alpha" --wipe SN-ALPHA --yes
check "a mounted disk is refused also with --wipe" 3 "in use" "mounted at $work/held"
umount "$work/held"
blank "$alpha" "$delta"
mkfs.btrfs --quiet --data raid1 --metadata raid1 "$alpha" "$delta" >/dev/null 2>&1
mount "$alpha" "$work/held"
for member in "$alpha" "$delta"; do
    ran install --host demo --disk "$member" --wipe SN-ALPHA --wipe SN-DELTA --yes
    check "a member of a mounted btrfs is refused" 3 "in use"
done
umount "$work/held"
blank "$alpha" "$delta"
system=$(findmnt --noheadings --output SOURCE / | sed 's/\[.*//')
parent=/dev/$(lsblk --noheadings --nodeps --output PKNAME "$system" 2>/dev/null || true)
[[ -b $parent ]] || parent=$system
if [[ -b $parent && $parent == /dev/[svn]* ]]; then
    ran install --host demo --disk "$parent" --wipe "$(basename "$parent")" --dry-run
    check "the disk of the running system is refused" 3 "in use"
fi
mkdir "$work/other"
mount --bind "$work/other" /mnt
ran install --host demo --disk "$beta" --yes
check "/mnt in use is refused" 3 "/mnt is in use"
umount /mnt

## The installation

partition "$gamma" op-dbus-system
ran install --host demo --disk "$alpha" --yes
check "a second disk with a system of ours is refused" 3 "$gamma already holds a system"
blank "$gamma"

before=$(sums | grep -v alpha.img)
ran install --host demo --disk "$alpha" --yes
check "an installation goes through all steps" 0 "[3/5] Partitioning $alpha" "[4/5] Installing demo" \
    "[5/5] Finishing" "Installed demo onto $alpha."
holds "nixos-install got the system" called \
    "nixos-install --no-channel-copy --no-root-passwd --system $work/system --root /mnt"
holds "the other disks are as they were" test "$before" = "$(sums | grep -v alpha.img)"
if mountpoint --quiet /mnt; then verdict no "/mnt is unmounted"; else verdict yes "/mnt is unmounted"; fi
holds "the link is gone" test ! -L /dev/disk/by-op-dbus/system
mount "${alpha}p2" "$work/held"
holds "the marker tells host and disk" \
    jq --exit-status '.host == "demo" and .disk == "SN-ALPHA"' "$work/held/var/lib/op-dbus/installed.json" >/dev/null
holds "the log is on the disk" grep -q "Partitioning" "$work/held/var/log/op-dbus-install.log"
umount "$work/held"
ran install --host demo --disk "$alpha" --yes
check "the same again is refused" 3 "holds data" "--wipe SN-ALPHA"
ran install --host demo --disk "$alpha" --wipe SN-ALPHA --yes
check "and done with leave" 0 "Installed demo onto $alpha."
blank "$alpha"

touch "$work/disko-fails"
ran install --host demo --disk "$alpha" --yes
check "a failure of disko tells the state of the disk and the log" 1 "sgdisk: no space" \
    "Failed while: Partitioning $alpha" "former content is lost" "The log is /var/log/op-dbus-install.log"
rm "$work/disko-fails"
touch "$work/install-fails"
ran install --host demo --disk "$alpha" --yes
check "a failure of nixos-install too" 1 "no space left" "Failed while: Installing demo" "not complete" "--wipe"
if mountpoint --quiet /mnt; then
    verdict no "/mnt is unmounted after a failure"
else
    verdict yes "/mnt is unmounted after a failure"
fi
rm "$work/install-fails"
blank "$alpha"

## From the network

ran install --host far --disk "$alpha" --yes
check "a system that the image lacks needs a cache" 2 "op-dbus.cache=URL"
mkdir -p "$work/www/cache" "$work/www/done"
touch "$work/www/cache/0123456789abcdfghijklmnpqrsvwxyz.narinfo" "$work/www/done/aa"
: >"$work/server.log"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 0 >"$work/server.log" 2>&1 &
server=$!
port=
until [[ -n $port ]]; do
    kill -0 "$server"
    timeout 0.1 tail -f /dev/null || true
    port=$(sed -nE 's/.* port ([0-9]+) .*/\1/p' "$work/server.log")
done
cmdline "quiet op-dbus.cache=http://127.0.0.1:$port/none"
before=$(sums)
ran install --host far --disk "$alpha" --yes
check "a cache without the system is an error" 2 "does not have"
holds "and leaves the disk alone" test "$before" = "$(sums)"
cmdline "quiet op-dbus.cache=http://127.0.0.1:$port/cache op-dbus.report=http://127.0.0.1:$port/done/aa"
ran install --host far --disk "$alpha" --yes
check "the system comes from the cache" 0 "Fetching the system" "Installed far"
holds "with nix copy" called "copy --no-check-sigs --from http://127.0.0.1:$port/cache --to /mnt"
holds "the server is told the end" grep -q "GET /done/aa" "$work/server.log"
blank "$alpha"

## Unattended

rm "$work/calls"
cmdline "quiet splash"
ran unattended
check "nothing is installed when nothing says so" 0 "Nothing says to install"
holds "and nothing is started" not_called disko
cmdline "quiet op-dbus.host=demo"
ran unattended
check "the choice of the disk is as strict as by hand" 2 "fits 4 disks"
cmdline "quiet op-dbus.host=demo op-dbus.disk=serial:SN-ALPHA op-dbus.afterwards=poweroff"
ran unattended
check "the kernel command line says what to install" 0 "Installed demo onto $alpha." "poweroff"
holds "and what to do afterwards" called "systemctl --no-block poweroff"
ran unattended
check "data is refused unattended too" 3 "holds data"
cmdline "op-dbus.host=demo op-dbus.disk=serial:SN-ALPHA op-dbus.wipe=SN-OTHER,SN-ALPHA op-dbus.afterwards=stay"
ran unattended
check "the kernel command line can allow to wipe" 0 "Installed demo"
cmdline "quiet"
settings '{ "enable": true, "host": "demo", "disk": "serial:SN-ALPHA", "allowWipe": ["virtio-alpha"] }'
ran unattended
check "the image says what to install" 0 "Installed demo onto $alpha." "reboot"
holds "and restarts" called "systemctl --no-block reboot"

echo "$passed passed, $failures failed"
((failures == 0))
