{
  message = "services.operation-dbus.numa.policy and nodes are for threads";
  config = {
    numa = {
      enable = true;
      policy = "bind";
    };
  };
}
