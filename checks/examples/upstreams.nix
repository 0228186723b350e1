# Other MCP servers whose tools are passed on: one that is started, one elsewhere, one beside.
{ pkgs, ... }:
{
  services.operation-dbus = {
    enable = true;
    mcp = {
      enable = true;
      upstreams = {
        files = {
          command = [
            "${pkgs.coreutils}/bin/true"
            "/srv/www"
          ];
          environment = {
            LOG_LEVEL = "info";
            API_TOKEN.file = "/run/secrets/files-token";
          };
          include = [
            "read_*"
            "list_*"
          ];
          effect."*" = "read";
        };
        weather = {
          url = "https://tools.example.net/mcp";
          token_file = "/run/secrets/weather-token";
          effect."forecast*" = "read";
          role = "operator";
        };
        beside.url = "http://127.0.0.1:3000/mcp";
      };
    };
  };
}
