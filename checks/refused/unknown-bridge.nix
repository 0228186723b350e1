{
  message = ''services.operation-dbus.lxc.containers.web-01.bridge is "br1", which is not declared: use one of br0'';
  config = {
    ovs.bridges.br0 = { };
    lxc.templates.busybox.recipe = "busybox";
    lxc.containers.web-01 = {
      template = "busybox";
      bridge = "br1";
    };
  };
}
