{
  message = ''services.operation-dbus.mcp.upstreams.files.environment: "LOG-LEVEL" cannot be a name here'';
  config.mcp.upstreams.files = {
    command = [ "/run/current-system/sw/bin/true" ];
    environment.LOG-LEVEL = "info";
  };
}
