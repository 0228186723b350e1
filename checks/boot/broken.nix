# A template whose archive is not there, with something before it that works.
{ lib, ... }:
{
  imports = [ ./changed.nix ];
  services.operation-dbus = {
    ovs.bridges.opdemo0.ports.vlan10.tag = 10;
    lxc = {
      templates.gone = {
        recipe = "tarball";
        path = "/nowhere.tar";
        sha256 = lib.concatStrings (lib.genList (_: "0") 64);
      };
      containers.web-03 = {
        template = "gone";
        network = "none";
      };
    };
  };
}
