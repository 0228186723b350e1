{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.secrets = {
    after = mkOption {
      type = types.listOf types.str;
      example = [ "opnix-secrets.service" ];
      defaultText = lib.literalMD "the units of sops-nix and opnix, where they are used";
      description = "Units that put secrets in their place. What reads a secret starts after them.";
    };

    credentials = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            file = mkOption {
              type = import ../secret-file.nix { inherit lib; };
              example = "/run/secrets/registry-token";
              description = "The file that holds the secret.";
            };

            encrypted = mkOption {
              type = types.bool;
              default = false;
              description = "Whether the file was made by `systemd-creds encrypt`.";
            };
          };
        }
      );
      default = { };
      description = ''
        Secrets that the agent gets as systemd credentials, by name. They are in no declaration, argument or log. This
        version of the agent reads none yet.
      '';
    };
  };
}
