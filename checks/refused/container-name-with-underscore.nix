{
  message = ''services.operation-dbus.lxc.containers: "web_01" cannot be a name here'';
  config.lxc = {
    templates.busybox.recipe = "busybox";
    containers.web_01 = {
      template = "busybox";
      network = "none";
    };
  };
}
