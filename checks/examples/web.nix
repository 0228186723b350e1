# The web server behind a certificate of one's own.
{
  services.operation-dbus = {
    enable = true;
    mcp = {
      enable = true;
      address = "10.0.0.1";
      port = 8443;
      openFirewall = true;
      tls = {
        certificateFile = "/var/lib/acme/host.example.org/fullchain.pem";
        keyFile = "/var/lib/acme/host.example.org/key.pem";
      };
    };
  };
}
