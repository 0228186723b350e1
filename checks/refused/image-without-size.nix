{
  message = "btrfs.image needs a size";
  config.btrfs.image = "/srv/op-dbus.img";
}
