{
  message = "services.operation-dbus.openflow.bridges.br1 is no bridge: none is declared";
  config.openflow.bridges.br1 = { };
}
