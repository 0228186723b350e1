# The chat for browsers of other machines, with a certificate of ACME and a language model elsewhere.
{
  services.operation-dbus = {
    enable = true;
    mcp = {
      enable = true;
      address = "0.0.0.0";
      port = 8443;
      openFirewall = true;
      hosts = [ "host.example.org" ];
      tls = {
        certificateFile = "/var/lib/acme/host.example.org/fullchain.pem";
        keyFile = "/var/lib/acme/host.example.org/key.pem";
      };
    };
    chat.model = {
      url = "https://models.example.net/v1";
      name = "large";
      keyFile = "/run/secrets/model-key";
      dailyTokens = 1000000;
    };
  };
}
