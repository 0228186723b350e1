# One container more.
{
  services.operation-dbus.lxc.containers.web-02 = {
    template = "busybox";
    address = "10.99.0.13/24";
    memory = "64MiB";
  };
}
