{
  message = "services.operation-dbus.mcp.tls has a certificate and makes one";
  config.mcp = {
    enable = true;
    address = "0.0.0.0";
    tls = {
      certificateFile = "/var/lib/acme/host.example.org/fullchain.pem";
      keyFile = "/var/lib/acme/host.example.org/key.pem";
      selfSigned = true;
    };
  };
}
