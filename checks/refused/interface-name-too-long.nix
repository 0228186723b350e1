{
  message = ''services.operation-dbus.ovs.bridges: "a-bridge-of-17-ch" cannot be a name here. Choose a bridge name'';
  config.ovs.bridges."a-bridge-of-17-ch" = { };
}
