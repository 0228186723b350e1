{
  message = "a copy there would be lost with it";
  config.replication.targets.disk.path = "/var/lib/op-dbus/copies";
}
