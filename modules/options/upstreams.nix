{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
  secretFile = import ../secret-file.nix { inherit lib; };
  keys = schema.options "Upstream";

  variable = types.either types.str (
    types.submodule {
      options.file = mkOption {
        type = secretFile;
        description = "The file that holds the value, read when the program is started.";
      };
    }
  );
in
{
  options.services.operation-dbus.mcp.upstreams = mkOption {
    type = types.attrsOf (
      types.submodule {
        options = keys // {
          environment = keys.environment // {
            type = types.nullOr (types.attrsOf variable);
          };
          token_file = keys.token_file // {
            type = types.nullOr secretFile;
          };
        };
      }
    );
    default = { };
    example = lib.literalExpression ''
      {
        files = {
          command = [ "''${pkgs.mcp-server-filesystem}/bin/mcp-server-filesystem" "/srv/www" ];
          include = [ "read_*" "list_*" ];
          effect."*" = "read";
        };
        weather = {
          url = "https://tools.example.net/mcp";
          token_file = "/run/secrets/weather-token";
          role = "operator";
        };
      }
    '';
    description = ''
      Other MCP servers whose tools this host passes on, by the prefix that their tools get. The web server starts and
      reaches them as the user `op-dbus-web`, who has to be able to read the files with their secrets.
    '';
  };
}
