{
  message = "web-01 does not say which bridge it is connected to";
  config = {
    lxc.templates.busybox.recipe = "busybox";
    lxc.containers.web-01.template = "busybox";
  };
}
