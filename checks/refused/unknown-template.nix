{
  message = ''web-01.template is "debain", which is not declared: use one of debian'';
  config.lxc = {
    templates.debian.recipe = "debian";
    containers.web-01 = {
      template = "debain";
      network = "none";
    };
  };
}
