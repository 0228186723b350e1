{
  message = "services.operation-dbus.mcp.address is 10.0.0.1, and others could listen in";
  config.mcp = {
    enable = true;
    address = "10.0.0.1";
  };
}
