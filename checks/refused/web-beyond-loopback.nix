{
  message = "set services.operation-dbus.mcp.address to a loopback address, since the web server has no TLS yet";
  config.mcp = {
    enable = true;
    address = "10.0.0.1";
  };
}
