{
  message = "set one of services.operation-dbus.mcp.upstreams.files.command and services.operation-dbus.mcp.upstreams.files.url";
  config.mcp.upstreams.files = {
    command = [ "/run/current-system/sw/bin/true" ];
    url = "https://tools.example.net/mcp";
  };
}
