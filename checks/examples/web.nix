# The web server, with a token for a client that looks and one for a client that changes things.
{
  services.operation-dbus = {
    enable = true;
    mcp = {
      enable = true;
      port = 8443;
      hosts = [ "host.example.org" ];
      origins = [ "https://chat.example.org" ];
      profile = "safe";
      tokens = {
        laptop = {
          file = "/etc/op-dbus/tokens/laptop";
          scopes = [ "mcp:read" ];
        };
        robot = {
          file = "/run/secrets/op-dbus-robot";
          scopes = [ "mcp:write" ];
        };
      };
    };
  };
}
