# A plain secret and a sealed one.
{
  services.operation-dbus = {
    enable = true;
    secrets.credentials = {
      registry-token.file = "/run/secrets/registry-token";
      backup-key = {
        file = "/etc/op-dbus/backup-key.cred";
        encrypted = true;
      };
    };
  };
}
