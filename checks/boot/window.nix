# Every change waits for somebody to confirm it, but at boot.
{
  services.operation-dbus.confirmWindow = "2s";
}
