# Parts of the declaration as they are written in JSON: a subvolume, and a plugin whose mapping comes with the agent.
{
  services.operation-dbus = {
    enable = true;
    defaultState = {
      version = "1.0";
      plugins = {
        btrfs.subvolumes."@logs".compression = "zstd:9";
        networkmanager = {
          device.eth1.Autoconnect = false;
          settings.Hostname = "example";
        };
      };
    };
  };
}
