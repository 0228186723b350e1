{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus.mcp = {
    enable = lib.mkEnableOption "the web server with the chat and the MCP endpoint";

    port = mkOption {
      type = types.port;
      default = 8080;
      description = "The TCP port of the web server.";
    };

    address = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "::1";
      description = ''
        The address of the web server. Any other than a loopback address takes `tls`; 0.0.0.0 and :: are all addresses
        of this host.
      '';
    };

    openFirewall = lib.mkOption {
      type = types.bool;
      default = false;
      description = "Whether the firewall lets others get to the web server's port.";
    };

    tls = {
      certificateFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/var/lib/acme/host.example.org/fullchain.pem";
        description = ''
          The certificate and those that it was signed with, as PEM. systemd hands it to the web server when this starts:
          restart `op-dbus-web.service` when it is renewed.
        '';
      };
      keyFile = mkOption {
        type = types.nullOr (import ../secret-file.nix { inherit lib; });
        default = null;
        example = "/var/lib/acme/host.example.org/key.pem";
        description = "The key of the certificate, as PEM. It may be root's alone.";
      };
      selfSigned = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether the web server makes a certificate of its own when it first starts. Nobody signed it, so that browsers
          ask; `op-dbus web login` prints the fingerprint to compare.
        '';
      };
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
