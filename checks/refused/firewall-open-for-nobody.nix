{
  message = "services.operation-dbus.mcp.openFirewall opens a port at which nobody else is answered";
  config.mcp = {
    enable = true;
    openFirewall = true;
  };
}
