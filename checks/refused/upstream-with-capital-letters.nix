{
  message = ''services.operation-dbus.mcp.upstreams: "Files" cannot be a name here. Choose a prefix for tools'';
  config.mcp.upstreams.Files.url = "https://tools.example.net/mcp";
}
