# A part of the declaration as it is written in JSON.
{
  services.operation-dbus = {
    enable = true;
    defaultState = {
      version = "1.0";
      plugins.btrfs.subvolumes."@logs".compression = "zstd:9";
    };
  };
}
