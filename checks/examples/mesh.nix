# A host in a Netmaker mesh.
{
  services.operation-dbus = {
    enable = true;
    netmaker = {
      enable = true;
      joinKeyFile = "/run/secrets/netmaker-join-key";
    };
  };
}
