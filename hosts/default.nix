# One host for each directory here, and the installer, which has what the others are made of.
{
  lib,
  self,
  disko,
}:
let
  names = lib.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir ./.));

  host =
    name: modules:
    lib.nixosSystem {
      modules = [
        self.nixosModules.default
        disko.nixosModules.disko
        ./${name}
      ]
      ++ modules;
    };

  installed = lib.genAttrs (lib.remove "installer" names) (name: host name [ ]);
in
installed
// {
  installer = host "installer" [
    ../images/installer-media.nix
    ../images/installer/module.nix
    {
      operation-dbus.installer.hosts = lib.mapAttrs (_: one: {
        inherit (one.config.system.build) toplevel diskoScript;
      }) installed;
    }
  ];
}
