{
  message = "services.operation-dbus.btrfs.basePath lies on ext4 (/var), and has to be on btrfs: mount one there";
  config.nixos.fileSystems = {
    "/".fsType = "btrfs";
    "/var".fsType = "ext4";
    "/var/lib/op".fsType = "xfs";
  };
}
