{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus.mcp = {
    enable = lib.mkEnableOption "the web server with the MCP endpoint";

    port = mkOption {
      type = types.port;
      default = 8080;
      description = "The TCP port of the web server.";
    };

    address = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "::1";
      description = "The address of the web server: a loopback address, since it has no TLS yet.";
    };

    inherit (schema.options "Web") hosts origins profile;

    tokens = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            file = mkOption {
              type = import ../secret-file.nix { inherit lib; };
              example = "/etc/op-dbus/tokens/laptop";
              description = ''
                The file with the secret, 32 characters or more. It belongs to root, and nobody else reads it.
                `op-dbus web token NAME` makes one.
              '';
            };
            inherit (schema.options "Token") scopes;
          };
        }
      );
      default = { };
      example.laptop = {
        file = "/etc/op-dbus/tokens/laptop";
        scopes = [ "mcp:read" ];
      };
      description = "Who may speak at the door, each with a token. Without one, nobody may.";
    };
  };
}
