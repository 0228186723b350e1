{
  message = "set services.operation-dbus.netmaker.joinKeyFile";
  config.netmaker.enable = true;
}
