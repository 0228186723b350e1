# The demo with everything that it needs: `nix run .#demo`, and `nix run .#demo -- down`.
{
  lib,
  writeShellApplication,
  btrfs-progs,
  coreutils,
  gnused,
  iproute2,
  jq,
  lxc,
  op-dbus,
  openvswitch,
  pkgsStatic,
  procps,
  util-linux,
}:
writeShellApplication {
  name = "op-dbus-demo";
  runtimeInputs = [
    btrfs-progs
    coreutils
    gnused
    iproute2
    jq
    lxc
    openvswitch
    pkgsStatic.busybox
    procps
    util-linux
  ];
  text = ''
    export DEMO_PROGRAM=${lib.getExe op-dbus} OVS_SCHEMA=${openvswitch}/share/openvswitch/vswitch.ovsschema
    case ''${1:-up} in
      up) exec bash ${./.}/up.sh ;;
      down) exec bash ${./.}/down.sh ;;
      *) echo "usage: op-dbus-demo [up|down]" >&2 && exit 2 ;;
    esac
  '';
}
