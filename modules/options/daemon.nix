{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };

  users =
    meaning:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = ''
        Users of this host who ${meaning}. They join the group `opdbus`, whose members reach the daemon's sockets and
        have at least the role of a viewer.
      '';
    };
in
{
  options.services.operation-dbus = {
    daemon.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the daemon runs. It mends the host between two switches, and answers on its sockets and on the system
        bus those who have a role. Without it the host is brought to its declared state at boot and at each switch, and
        root alone can ask for anything.
      '';
    };

    inherit (schema.options "Document") reconcile;

    access = {
      files = schema.options "Files";
      inspect = schema.options "Inspect";
      inherit (schema.options "Access") commands;
    };

    roles = {
      viewer = users "may look at everything and change nothing";
      operator = users "may also change things that can be changed back";
      admin = users "may also destroy data, install software, write files and run commands";
    };
  };
}
