{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus.mcp = {
    enable = lib.mkEnableOption "the web server with the chat page and the MCP endpoint";

    port = mkOption {
      type = types.port;
      default = 8080;
      description = "The TCP port of the web server.";
    };

    address = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "10.0.0.1";
      description = "The address of the web server. Any other than a loopback address needs TLS and tokens.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the firewall lets the port through.";
    };

    tls = {
      certificateFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/var/lib/acme/host.example.org/fullchain.pem";
        description = "The certificate in PEM. With null one is made and signed by the host itself.";
      };

      keyFile = mkOption {
        type = types.nullOr (import ../secret-file.nix { inherit lib; });
        default = null;
        example = "/var/lib/acme/host.example.org/key.pem";
        description = "The key of the certificate in PEM.";
      };
    };
  };
}
