{
  message = "outside of the Nix store";
  byType = true;
  config.mcp = {
    enable = true;
    address = "0.0.0.0";
    tls = {
      certificateFile = "/etc/op-dbus/tls/certificate.pem";
      keyFile = "${builtins.toFile "key" "key"}";
    };
  };
}
