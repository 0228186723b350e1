{
  message = "services.operation-dbus.mcp.port is 443, which takes a right that the web server does not have";
  config.mcp = {
    enable = true;
    address = "0.0.0.0";
    port = 443;
    tls.selfSigned = true;
  };
}
