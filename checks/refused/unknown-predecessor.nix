{
  message = ''web-01.after names "db-01", which is not declared'';
  config.lxc = {
    templates.busybox.recipe = "busybox";
    containers.web-01 = {
      template = "busybox";
      network = "none";
      after = [ "db-01" ];
    };
  };
}
