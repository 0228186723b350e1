# A template whose archive is another than was declared, with something beside it that works.
{ lib, ... }:
{
  imports = [ ./changed.nix ];
  environment.etc."broken.tar".text = "no archive";
  services.operation-dbus = {
    ovs.bridges.opdemo0.ports.vlan10.tag = 10;
    lxc = {
      templates.gone = {
        recipe = "tarball";
        path = "/etc/broken.tar";
        sha256 = lib.concatStrings (lib.genList (_: "0") 64);
      };
      containers.web-03 = {
        template = "gone";
        network = "none";
      };
    };
  };
}
