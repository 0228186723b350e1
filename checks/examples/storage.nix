# The agent's subvolumes on a file system of the host, with one more.
{
  services.operation-dbus = {
    enable = true;
    btrfs = {
      compressionLevel = 5;
      extraSubvolumes."@backups".compression = "zstd:9";
    };
  };
}
