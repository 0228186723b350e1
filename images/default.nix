# What can be booted or written to a disk: a host with one more module.
{ lib, self }:
let
  build =
    system: host: module:
    (host.extendModules {
      modules = [
        module
        { nixpkgs.hostPlatform = lib.mkForce system; }
      ];
    }).config.system.build;
  inherit (self.nixosConfigurations) demo installer;
in
{
  packages = system: {
    iso = (build system installer ./iso.nix).isoImage;
    netboot = (build system installer ./netboot.nix).netboot;
    disk = (build system demo ./disk.nix).diskImage;
    lxc-template = (build system (lib.nixosSystem { modules = [ ]; }) ./lxc-template.nix).tarball;
  };
}
