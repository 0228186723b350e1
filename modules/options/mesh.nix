{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.netmaker = {
    enable = lib.mkEnableOption "the Netmaker mesh, with netclient on this host";

    joinKeyFile = mkOption {
      type = types.nullOr (import ../secret-file.nix { inherit lib; });
      default = null;
      example = "/run/secrets/netmaker-join-key";
      description = "The file that holds the enrolment key. This version starts netclient; joining is left to you.";
    };

    joinKey = mkOption {
      type = types.nullOr types.str;
      default = null;
      visible = false;
      description = "Refused: a key that is written here ends in the Nix store, which everybody can read.";
    };

    interface = mkOption {
      type = types.strMatching "[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}";
      default = "nm0";
      description = "The name that netclient gives to the interface of the mesh.";
    };

    port = mkOption {
      type = types.port;
      default = 51821;
      description = "The UDP port of the mesh; the firewall lets it through.";
    };
  };
}
