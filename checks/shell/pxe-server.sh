#!/usr/bin/env bash
# The PXE server against real DHCP, TFTP and HTTP clients, and a virtual machine if there is one, in
# network name spaces. Takes root.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
program=$here/../../images/pxe-server/pxe-server.sh

if [[ ${1-} != --inside ]]; then
    for needed in busybox curl dnsmasq ip jq pgrep python3 unshare; do
        command -v "$needed" >/dev/null || {
            echo "SKIPPED: $needed is missing; install it with scripts/packages.sh" \
                "busybox-static curl dnsmasq-base iproute2 jq procps python3 ipxe"
            exit 77
        }
    done
    if [[ ! -r /usr/lib/ipxe/undionly.kpxe ]]; then
        echo "SKIPPED: iPXE is missing; install it with scripts/packages.sh ipxe"
        exit 77
    fi
    if ((EUID != 0)) || ! unshare --net --mount ip link add lan type bridge 2>/dev/null; then
        echo "SKIPPED: this takes root, network name spaces and bridges"
        exit 77
    fi
    exec timeout 400 unshare --net --mount --propagation private "$0" --inside
fi

work=$(mktemp -d)
chmod 0755 "$work"
server=
background=()
tidy() {
    local each
    for each in $server "${background[@]}"; do
        kill "$each" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap tidy EXIT

passed=0
failures=0
verdict() {
    local good=$1 what=$2
    if [[ $good == yes ]]; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failures=$((failures + 1))
        echo "FAILED  $what"
        [[ ! -s $work/output ]] || sed 's/^/    /' "$work/output"
    fi
}

holds() {
    local what=$1
    shift
    if "$@"; then verdict yes "$what"; else verdict no "$what"; fi
}

fails_not() {
    ! "$@"
}

# refused WHAT STATUS TEXT ARGUMENT...
refused() {
    local what=$1 expected=$2 text=$3 status=0 good=yes
    shift 3
    timeout 20 "$program" "$@" >"$work/output" 2>&1 </dev/null || status=$?
    [[ $status == "$expected" ]] || good=no
    grep -qF -- "$text" "$work/output" || good=no
    verdict "$good" "$what"
}

# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        ((SECONDS < end)) || return 1
        timeout 0.1 tail -f /dev/null || true
    done
}

serve() {
    "$program" --interface lan --directory "$work/image" "$@" >"$work/output" 2>&1 </dev/null &
    server=$!
    until_true 20 grep -q '^Serving ' "$work/output"
}

ended() {
    ! kill -0 "$server" 2>/dev/null
}

## A network: a bridge to serve on, and a client behind it

mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir /run/netns
ip link set lo up
ip link add lan type bridge
ip netns add client
ip link add port type veth peer name card netns client
ip link set port master lan
ip link set port up
ip -netns client link set lo up
ip -netns client link set card up

listed=52:54:00:77:00:01
other=52:54:00:77:00:02
mkdir "$work/image" "$work/image/cache"
for file in bzImage initrd store.squashfs; do
    head -c 300000 /dev/urandom >"$work/image/$file"
done
cat >"$work/image/netboot.ipxe" <<'END'
#!ipxe
isset ${base} || exit 1
imgfetch ${base}/bzImage ${cmdline}
imgfetch ${base}/initrd
imgfetch ${base}/store.squashfs
END

## What is refused

refused "no interface" 2 "--interface" --mac "$listed" --directory "$work/image"
refused "no machine" 2 "--mac" --interface lan --directory "$work/image"
refused "a wrong MAC address" 2 "not a MAC address" --interface lan --mac 52:54:zz --directory "$work/image"
refused "a directory without an image" 2 "not a netboot image" --interface lan --mac "$listed" --directory "$work"
refused "a host of two words" 2 "one word" --interface lan --mac "$listed" --directory "$work/image" \
    --host "a init=/bin/sh"
refused "leave to wipe without a host" 2 "--host" --interface lan --mac "$listed" --directory "$work/image" --wipe X
refused "a network card that there is not" 3 "there is no network card eth77; there are:" \
    --interface eth77 --mac "$listed" --directory "$work/image"
refused "a network card that is down" 3 "ip link set lan up" \
    --interface lan --mac "$listed" --directory "$work/image"
ip link set lan up
until_true 10 grep -qx 1 /sys/class/net/lan/carrier
refused "a network card without an address" 3 "has no IPv4 address" \
    --interface lan --mac "$listed" --directory "$work/image"
ip address add 10.77.3.1/22 dev lan
ip -netns client address add 10.77.1.50/22 dev card
ip route add default via 10.77.0.254 dev lan
refused "a network card with a default route" 3 "--allow-default-route" \
    --interface lan --mac "$listed" --directory "$work/image"
serve --mac "$listed" --allow-default-route
holds "which can be allowed" fails_not ended
kill "$server"
until_true 10 ended
ip route del default
mkdir "$work/net"
cp --recursive --no-dereference /sys/class/net/. "$work/net" 2>/dev/null || true
rm -f "$work/net/lan"
mkdir -p "$work/net/lan/wireless"
mount --bind "$work/net" /sys/class/net
refused "a wireless network card" 3 "wireless" --interface lan --mac "$listed" --directory "$work/image"
umount /sys/class/net

## On the wire

cat >"$work/discover.py" <<'END'
"""Sends one PXE packet and prints what the answer says: discover.py TYPE MAC ARCHITECTURE USER_CLASS"""
import socket
import struct
import sys

kind, mac, architecture, user_class = sys.argv[1:]
at_boot_server = kind == "request"
chaddr = bytes.fromhex(mac.replace(":", ""))
mine = socket.inet_aton("10.77.1.50")
options = bytes([53, 1, 3 if at_boot_server else 1])
options += bytes([60, 32]) + b"PXEClient:Arch:%05d:UNDI:002001" % int(architecture)
options += bytes([93, 2]) + struct.pack("!H", int(architecture))
options += bytes([94, 3, 1, 2, 1]) + bytes([97, 17, 0]) + bytes(16)
options += bytes([55, 5, 1, 3, 43, 60, 67])
if user_class:
    options += bytes([77, len(user_class)]) + user_class.encode()
if at_boot_server and architecture == "0":
    options += bytes([43, 7, 71, 4, 0x80, 0, 0, 0, 255])
packet = struct.pack(
    "!BBBBIHH4s4s4s4s16s64s128s4s",
    1, 1, 6, 0, 0x77777777, 0, 0x8000, mine if at_boot_server else bytes(4),
    bytes(4), bytes(4), bytes(4), chaddr, b"", b"", b"\x63\x82\x53\x63",
) + options + b"\xff"

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"card")
client.bind(("", 68))
client.settimeout(3)
client.sendto(packet, ("10.77.3.1", 4011) if at_boot_server else ("255.255.255.255", 67))
try:
    answer, sender = client.recvfrom(4096)
except TimeoutError:
    print("silence")
    sys.exit()
fields, rest = {}, answer[240:]
while rest and rest[0] != 255:
    if rest[0] == 0:
        rest = rest[1:]
        continue
    fields[rest[0]] = rest[2 : 2 + rest[1]]
    rest = rest[2 + rest[1] :]
file = fields.get(67, answer[108:236]).split(b"\0")[0].decode()
print("offered", socket.inet_ntoa(answer[16:20]), "class", fields.get(60, b"").decode(), "file", file,
      "from", sender[0], "vendor", fields.get(43, b"").hex())
END
asks() {
    ip netns exec client timeout 20 python3 "$work/discover.py" "$@"
}

serve --mac "${listed^^}" --host demo --disk serial:SN-1 --wipe SN-1 --once
cp "$work/output" "$work/started"
answer=$(asks discover "$listed" 0 "")
echo "        $answer"
holds "a listed BIOS machine is answered as by a proxy: no address, class PXEClient" \
    grep -q "offered 0.0.0.0 class PXEClient" <<<"$answer"
answer=$(asks request "$listed" 0 "")
echo "        $answer"
holds "its boot server names iPXE for BIOS" grep -q "file bios.kpxe" <<<"$answer"
for architecture in 7 9; do
    answer=$(asks discover "$listed" "$architecture" "")
    holds "a listed UEFI machine is answered as by a proxy (architecture $architecture)" \
        grep -q "offered 0.0.0.0 class PXEClient" <<<"$answer"
    answer=$(asks request "$listed" "$architecture" "")
    echo "        $answer"
    holds "its boot server names iPXE for UEFI" grep -q "file uefi.efi" <<<"$answer"
done
answer=$(asks discover "$listed" 7 iPXE)
echo "        $answer"
holds "iPXE gets the boot script of the machine" \
    grep -q "file http://10.77.3.1:8081/boot/52-54-00-77-00-01.ipxe" <<<"$answer"
for architecture in 0 7; do
    answer=$(asks discover "$other" "$architecture" "")
    holds "another machine gets no answer (architecture $architecture)" test "$answer" = silence
done
answer=$(asks discover "$other" 7 iPXE)
holds "nor does its iPXE" test "$answer" = silence
answer=$(asks request "$other" 0 "")
holds "nor at the port of the boot server" test "$answer" = silence

fetch() {
    ip netns exec client curl --fail --silent --show-error --max-time 20 --noproxy '*' --output "$work/fetched" "$1"
}
for pair in bios.kpxe=undionly.kpxe uefi.efi=snponly.efi; do
    fetch "tftp://10.77.3.1/${pair%=*}" || true
    holds "TFTP brings ${pair%=*}" cmp --silent "$work/fetched" "/usr/lib/ipxe/${pair#*=}"
done
holds "TFTP brings nothing else" fails_not fetch "tftp://10.77.3.1/../dnsmasq.conf" 2>/dev/null
fetch http://10.77.3.1:8081/boot/52-54-00-77-00-01.ipxe
holds "the boot script says what to install" grep -qx \
    "set cmdline op-dbus.report=http://10.77.3.1:8081/done/52-54-00-77-00-01 op-dbus.host=demo op-dbus.disk=serial:SN-1 op-dbus.wipe=SN-1" \
    "$work/fetched"
holds "there is no boot script for another machine" fails_not \
    fetch http://10.77.3.1:8081/boot/52-54-00-77-00-02.ipxe 2>/dev/null
for file in netboot.ipxe bzImage initrd store.squashfs; do
    fetch "http://10.77.3.1:8081/netboot/$file"
    holds "HTTP brings $file" cmp --silent "$work/fetched" "$work/image/$file"
done
holds "it goes on until the machine is installed" fails_not ended
fetch http://10.77.3.1:8081/done/52-54-00-77-00-01
holds "--once ends it then" until_true 10 ended
status=0
wait "$server" || status=$?
holds "with status 0" test "$status" = 0

serve --mac "$listed" --host demo --mac "$other"
fetch http://10.77.3.1:8081/done/52-54-00-77-00-01
until_true 10 grep -q "is installed (1 of 2)" "$work/output"
fetch http://10.77.3.1:8081/boot/52-54-00-77-00-01.ipxe
holds "an installed machine starts from its disk" grep -qx "exit 1" "$work/fetched"
fetch http://10.77.3.1:8081/boot/52-54-00-77-00-02.ipxe
holds "the others are still installed" grep -q op-dbus.host=demo "$work/fetched"
temporary=$(find /tmp -maxdepth 3 -path "*/www/done" -newer "$work/started" 2>/dev/null | head -n 1)
kill -TERM "$server"
holds "SIGTERM ends it" until_true 10 ended
status=0
wait "$server" || status=$?
holds "with status 0" test "$status" = 0
holds "nothing is left on the disk" test ! -e "$temporary"
holds "nothing listens any more" test -z "$(ss --no-header --listening --tcp --udp --numeric | grep -E ':(67|69|4011|8081) ' || true)"
serve --mac "$listed"
kill "$(pgrep --parent "$server" dnsmasq)"
holds "it ends when one of its parts does" until_true 10 ended
status=0
wait "$server" || status=$?
holds "and says so" grep -q "The server ended" "$work/output"
holds "with status 1" test "$status" = 1

## A virtual machine

if command -v qemu-system-x86_64 >/dev/null && [[ -c /dev/net/tun ]]; then
    # The DHCP server of the network, which knows nothing of PXE.
    ip netns exec client dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=card \
        --bind-interfaces --dhcp-range=10.77.1.100,10.77.1.200,255.255.252.0 --dhcp-option=3 \
        --dhcp-leasefile="$work/leases" --log-facility="$work/dhcp.log" &
    background+=($!)
    ip tuntap add dev tap0 mode tap
    ip link set tap0 master lan
    ip link set tap0 up
    # virtual_machine SECONDS MAC [OPTION...]: for the background.
    virtual_machine() {
        local seconds=$1 mac=$2
        shift 2
        exec timeout "$seconds" qemu-system-x86_64 -machine q35,accel=tcg -m 512 -nographic -nodefaults -no-reboot \
            -serial "file:$work/serial-$mac" -device "virtio-net-pci,netdev=net,mac=$mac${rom-}" \
            -netdev tap,id=net,ifname=tap0,script=no,downscript=no -boot n "$@" </dev/null >/dev/null 2>&1
    }
    # boots WHAT SECONDS [OPTION...]: from the firmware to the last file that netboot.ipxe names.
    boots() {
        local what=$1 seconds=$2 machine
        shift 2
        serve --mac "$listed" --host demo
        virtual_machine "$seconds" "$listed" "$@" &
        machine=$!
        background+=("$machine")
        holds "$what gets from its firmware to the last file" \
            until_true "$seconds" grep -q url:/netboot/store.squashfs "$work/output"
        grep -oE 'url:.*|sent .*\.(efi|kpxe) to' "$work/output" | sed 's/^/        /'
        kill "$machine" 2>/dev/null || true
        wait "$machine" || true
        kill "$server"
        until_true 10 ended
    }
    boots "a virtual machine with iPXE in its network card" 90
    firmware=${OVMF:-/usr/share/OVMF}
    if [[ -r $firmware/OVMF_CODE.fd ]]; then
        cp "$firmware/OVMF_VARS.fd" "$work/variables.fd"
        # Without its ROM, so that the firmware's own PXE does it.
        rom=,romfile= boots "a virtual machine with UEFI" 150 \
            -drive "if=pflash,format=raw,readonly=on,file=$firmware/OVMF_CODE.fd" \
            -drive "if=pflash,format=raw,file=$work/variables.fd"
    else
        echo "no virtual machine with UEFI is started: ovmf is missing"
    fi
    serve --mac "$listed" --host demo
    virtual_machine 120 "$other" &
    machine=$!
    background+=("$machine")
    holds "another one gives up" until_true 120 grep -qa "No more network devices" "$work/serial-$other"
    kill "$machine" 2>/dev/null || true
    wait "$machine" || true
    holds "and got nothing" fails_not grep -qE '10\.77\.1\..*url:|sent /' "$work/output"
    holds "though the network gave it an address" grep -q "$other" "$work/leases"
    kill "$server"
    until_true 10 ended
else
    echo "no virtual machine is started: qemu-system-x86_64 or /dev/net/tun is missing"
fi

echo "$passed passed, $failures failed"
((failures == 0))
