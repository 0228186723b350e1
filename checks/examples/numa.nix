# A host with several sockets.
{
  services.operation-dbus = {
    enable = true;
    numa = {
      enable = true;
      node = 0;
      cpuList = "0-7";
    };
  };
}
