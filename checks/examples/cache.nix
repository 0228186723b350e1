# A larger cache, and threads on the nodes of a host with several sockets.
{
  services.operation-dbus = {
    enable = true;
    cache = {
      size = "4GiB";
      memory = "64MiB";
      age = 30;
    };
    numa = {
      enable = true;
      strategy = "local-node";
      policy = "preferred";
    };
  };
}
