{
  message = "whole number";
  byType = true;
  config.lxc = {
    templates.busybox.recipe = "busybox";
    containers.a = {
      template = "busybox";
      network = "none";
      memory = "2 gigs";
    };
  };
}
