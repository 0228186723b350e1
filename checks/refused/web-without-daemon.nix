{
  message = "services.operation-dbus.mcp.enable needs the daemon";
  config = {
    daemon.enable = false;
    mcp.enable = true;
  };
}
