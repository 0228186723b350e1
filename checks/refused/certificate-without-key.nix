{
  message = "services.operation-dbus.mcp.tls.certificateFile and keyFile belong together";
  config.mcp = {
    enable = true;
    address = "0.0.0.0";
    tls.certificateFile = "/var/lib/acme/host.example.org/fullchain.pem";
  };
}
