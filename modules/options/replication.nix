{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
  ssh = schema.options "Ssh";
in
{
  options.services.operation-dbus.replication.targets = mkOption {
    type = types.attrsOf (
      types.submodule {
        options = schema.options "Target" // {
          ssh = mkOption {
            type = types.nullOr (
              types.submodule {
                options = ssh // {
                  identityFile = ssh.identityFile // {
                    type = import ../secret-file.nix { inherit lib; };
                  };
                };
              }
            );
            default = null;
            description = "The host that the directory is on; this one without it.";
          };
        };
      }
    );
    default = { };
    example = lib.literalExpression ''
      {
        disk = {
          path = "/mnt/backup/host-1";
          every = "1h";
          keep = 48;
        };
        offsite = {
          path = "/srv/replicas/host-1";
          ssh = {
            host = "backup.example.org";
            identityFile = "/run/secrets/replication-key";
            knownHostsFile = "/etc/ssh/ssh_known_hosts";
          };
          every = "1d";
        };
      }
    '';
    description = ''
      Where `op-dbus replicate` sends snapshots to, by name: directories on other btrfs file systems. The daemon does it
      by itself where a target has `every`.
    '';
  };
}
