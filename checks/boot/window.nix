# Every change waits for somebody to confirm it.
{
  imports = [ ./changed.nix ];
  services.operation-dbus.confirmWindow = "2s";
}
