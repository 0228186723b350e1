# The demo on a disk of its own and with the kernel's Open vSwitch.
{ lib, ... }:
let
  subvolume = name: {
    device = "/dev/disk/by-label/demo";
    fsType = "btrfs";
    options = [
      "subvol=${name}"
      "compress=zstd"
    ];
  };
in
{
  fileSystems = lib.mkForce {
    "/" = subvolume "@root";
    "/var/lib/op-dbus" = subvolume "@op-dbus";
  };
  services.operation-dbus = {
    btrfs = {
      image = lib.mkForce null;
      size = lib.mkForce null;
    };
    ovs.bridges.opdemo0.datapath = lib.mkForce "system";
  };
}
