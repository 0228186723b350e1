#!/usr/bin/env bash
# Starts named machines, and no others, from the network: proxy DHCP, TFTP for iPXE, HTTP for the rest.
set -euo pipefail

directory=${PXE_SERVER_DIRECTORY-}
loaders=${PXE_SERVER_LOADERS:-/usr/lib/ipxe}
interface=
port=8081
macs=()
host=
disk=
wipe=
afterwards=
once=
allow_default_route=

usage() {
    cat <<'HELP'
Usage: pxe-server --interface INTERFACE --mac ADDRESS [--mac ADDRESS]... [OPTION]...

Starts the installer of operation-dbus on the machines with these MAC addresses. It needs no change to
the DHCP server of the network. It runs until it is interrupted.

--interface INTERFACE  the network card to serve on
--mac ADDRESS          a machine to serve; all others get no answer
--host NAME            install this host without being asked; else the installer waits at its prompt
--disk RULE            the disk to install onto: only (the default), smallest, largest, serial:NUMBER,
                       by-id:NAME or a path below /dev
--wipe DISK            allow the disk with this serial number, or this name in /dev/disk/by-id, to lose
                       what it holds
--afterwards WHAT      reboot (the default), poweroff or stay
--directory DIRECTORY  what to serve: the netboot image
--port PORT            the port for HTTP (default: 8081)
--once                 end when all the machines are installed
--allow-default-route  serve on a network card that has a default route
HELP
}

wrong() {
    printf '%s\n' "$*" >&2
    exit 2
}

refuse() {
    printf '%s\n' "$*" >&2
    exit 3
}

# What is written into a boot script and onto a kernel command line must stay one word.
word() {
    [[ $2 =~ ^[A-Za-z0-9._:/@+=-]+$ ]] || wrong "$1 has to be one word of letters, digits and ._:/@+=-, not \"$2\""
}

add_mac() {
    local mac=${1,,} known
    mac=${mac//-/:}
    [[ $mac =~ ^([0-9a-f]{2}:){5}[0-9a-f]{2}$ ]] || wrong "\"$1\" is not a MAC address such as 52:54:00:12:34:56"
    for known in "${macs[@]}"; do
        [[ $known != "$mac" ]] || return 0
    done
    macs+=("$mac")
}

options() {
    while (($#)); do
        case $1 in
            --once) once=yes ;;
            --allow-default-route) allow_default_route=yes ;;
            -h | --help)
                usage
                exit
                ;;
            --interface | --mac | --host | --disk | --wipe | --afterwards | --directory | --port)
                [[ -n ${2-} ]] || wrong "$1 needs a value; see: pxe-server --help"
                case $1 in
                    --interface) interface=$2 ;;
                    --mac) add_mac "$2" ;;
                    --directory) directory=$2 ;;
                    --port) port=$2 ;;
                    *)
                        word "$1" "$2"
                        printf -v "${1#--}" '%s' "$2"
                        ;;
                esac
                shift
                ;;
            *) wrong "unknown option $1; see: pxe-server --help" ;;
        esac
        shift
    done
    [[ -n $interface ]] || wrong "say which network card to serve on, with --interface"
    ((${#macs[@]})) || wrong "say which machines to serve, with --mac; others get no answer"
    [[ $port =~ ^[0-9]{1,5}$ ]] || wrong "\"$port\" is not a port"
    case ${afterwards:-reboot} in
        reboot | poweroff | stay) ;;
        *) wrong "--afterwards has to be reboot, poweroff or stay, not \"$afterwards\"" ;;
    esac
    if [[ -z $host && -n $disk$wipe$afterwards ]]; then
        wrong "--disk, --wipe and --afterwards say how to install a host: say which, with --host"
    fi
    ((EUID == 0)) || wrong "serving DHCP and TFTP takes root; try: sudo pxe-server"
    [[ -n $directory ]] || wrong "say what to serve, with --directory: the result of nix build .#netboot"
    directory=$(realpath --canonicalize-missing "$directory")
    for file in netboot.ipxe initrd; do
        [[ -r $directory/$file ]] || wrong "$directory has no $file: it is not a netboot image"
    done
}

address=
network=
netmask=
check_interface() {
    local of=/sys/class/net/$interface found prefix
    [[ $interface != */* && -d $of ]] ||
        refuse "there is no network card $interface; there are: $(cd /sys/class/net && echo *)"
    [[ ! -e $of/wireless && ! -e $of/phy80211 ]] ||
        refuse "$interface is wireless, and machines cannot start from the network over it; take one with a cable"
    ip -json link show dev "$interface" | jq --exit-status '.[0].flags | contains(["UP", "LOWER_UP"])' >/dev/null ||
        refuse "$interface is down: plug the cable in, and run: ip link set $interface up"
    found=$(ip -json -4 address show dev "$interface" scope global |
        jq --raw-output '[.[].addr_info[]? | "\(.local)/\(.prefixlen)"] | first // ""')
    [[ -n $found ]] ||
        refuse "$interface has no IPv4 address; give it one, such as: ip address add 192.168.77.1/24 dev $interface"
    if [[ -z $allow_default_route &&
        $(ip -json -4 route show table all default | jq --arg interface "$interface" \
            '[.[] | select(.dev == $interface or any(.nexthops[]?; .dev == $interface))] | length') != 0 ]]; then
        refuse "$interface has a default route, so it looks like the way to the internet or an office network." \
            "Serve on a network card of its own, or say --allow-default-route."
    fi
    address=${found%/*}
    prefix=${found#*/}
    netmask=$(quad $(((0xffffffff << (32 - prefix)) & 0xffffffff)))
    network=$(quad $(($(number "$address") & ((0xffffffff << (32 - prefix)) & 0xffffffff))))
}

number() {
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    echo $(((a << 24) + (b << 16) + (c << 8) + d))
}

quad() {
    echo "$(($1 >> 24 & 255)).$(($1 >> 16 & 255)).$(($1 >> 8 & 255)).$(($1 & 255))"
}

loader() {
    local name
    for name in "$@"; do
        [[ ! -r $loaders/$name ]] || {
            echo "$loaders/$name"
            return
        }
    done
    wrong "$loaders has no iPXE ($*): install iPXE, or name its directory with PXE_SERVER_LOADERS="
}

work=
prepare() {
    local mac file base=http://$address:$port arguments=''
    work=$(mktemp --directory)
    chmod 0755 "$work"
    mkdir "$work/tftp" "$work/www" "$work/www/boot" "$work/www/done"
    ln -s "$directory" "$work/www/netboot"
    file=$(loader undionly.kpxe)
    install --mode=0644 "$file" "$work/tftp/bios.kpxe"
    file=$(loader snponly.efi snp.efi ipxe.efi)
    install --mode=0644 "$file" "$work/tftp/uefi.efi"

    [[ -z $host ]] || arguments+=" op-dbus.host=$host"
    [[ -z $disk ]] || arguments+=" op-dbus.disk=$disk"
    [[ -z $wipe ]] || arguments+=" op-dbus.wipe=$wipe"
    [[ -z $afterwards ]] || arguments+=" op-dbus.afterwards=$afterwards"
    {
        echo "port=0"
        echo "interface=$interface"
        echo "bind-interfaces"
        echo "no-hosts"
        echo "no-resolv"
        echo "no-ping"
        echo "log-dhcp"
        echo "dhcp-leasefile=$work/leases"
        echo "dhcp-range=$network,proxy,$netmask"
        echo "dhcp-ignore=tag:!known"
        echo "enable-tftp=$interface"
        echo "tftp-root=$work/tftp"
        echo "dhcp-userclass=set:ipxe,iPXE"
        echo 'pxe-service=tag:!ipxe,x86PC,"operation-dbus",bios.kpxe'
        echo 'pxe-service=tag:!ipxe,BC_EFI,"operation-dbus",uefi.efi'
        echo 'pxe-service=tag:!ipxe,X86-64_EFI,"operation-dbus",uefi.efi'
    } >"$work/dnsmasq.conf"
    for mac in "${macs[@]}"; do
        file=${mac//:/-}
        {
            echo "dhcp-host=$mac,set:$file"
            # iPXE takes a file from an offer only if the offer names a server too.
            echo "dhcp-boot=tag:ipxe,tag:$file,$base/boot/$file.ipxe,,$address"
        } >>"$work/dnsmasq.conf"
        cat >"$work/www/boot/$file.ipxe" <<END
#!ipxe
set base $base/netboot
set cmdline op-dbus.report=$base/done/$file$arguments
chain --replace \${base}/netboot.ipxe
END
        echo "done" >"$work/www/done/$file"
    done
    chmod 0755 "$work"/www/* "$work/tftp"
}

children=()
end() {
    trap - EXIT
    local child
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null || true
    done
    wait
    [[ -z $work ]] || rm -rf "$work"
}

start() {
    mkfifo "$work/log"
    # Both ends, so that neither program nor this one waits for the other to open it.
    exec 3<>"$work/log"
    dnsmasq --keep-in-foreground --conf-file="$work/dnsmasq.conf" --log-facility=- >&3 2>&1 3>&- &
    children+=($!)
    busybox httpd -f -vv -p "$address:$port" -h "$work/www" -u nobody:nogroup >&3 2>&1 3>&- &
    children+=($!)
}

alive() {
    local child
    for child in "${children[@]}"; do
        kill -0 "$child" 2>/dev/null || return 1
    done
}

answers() {
    curl --fail --silent --output /dev/null --max-time 5 --noproxy '*' "http://$address:$port/netboot/netboot.ipxe"
}

declare -A installed
follow() {
    local line ready='' started='' file
    while true; do
        if [[ -z $ready && -n $started ]] && answers; then
            ready=yes
            echo "Serving $directory on $interface ($address) to ${macs[*]}. Interrupt to end."
        fi
        if ! read -r -t 1 -u 3 line; then
            alive || return 1
            continue
        fi
        [[ $line != *"started, version"* ]] || started=yes
        echo "$line"
        if [[ $line =~ url:/done/(([0-9a-f]{2}-){5}[0-9a-f]{2})$ && -e $work/www/done/${BASH_REMATCH[1]} ]]; then
            file=${BASH_REMATCH[1]}
            installed[$file]=yes
            # Firmware that goes on asking the network first must not install again.
            # UEFI stops at its menu after a success.
            printf '#!ipxe\necho This machine is installed, and starts from its disk.\nexit 1\n' \
                >"$work/www/boot/$file.ipxe"
            echo "${file//-/:} is installed (${#installed[@]} of ${#macs[@]})."
            [[ -z $once || ${#installed[@]} != "${#macs[@]}" ]] || return 0
        fi
    done
}

options "$@"
check_interface
trap end EXIT
trap 'exit 0' TERM INT
prepare
start
if ! follow; then
    echo "The server ended; what it said last is above. Is another DHCP server or $address:$port in use here?" >&2
    exit 1
fi
