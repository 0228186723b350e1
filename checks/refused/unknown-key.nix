{
  message = "does not exist";
  byType = true;
  config.ovs.bridges.br0.uplink = "eth0";
}
