# The modules that the flake offers: each with what it needs of the flake.
{ lib, self }:
let
  operation-dbus =
    { pkgs, ... }:
    {
      imports = [ ./. ];
      services.operation-dbus.package =
        lib.mkDefault
          self.packages.${pkgs.stdenv.hostPlatform.system}.op-dbus;
    };
  profile = name: { imports = [ ../profiles/${name}.nix ]; };
in
{
  default = operation-dbus;
  inherit operation-dbus;
  profile-appliance = profile "appliance";
  # Needs disko.
  profile-disk = profile "disk";
  profile-server = profile "server";
  profile-workstation = profile "workstation";
}
