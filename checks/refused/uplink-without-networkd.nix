{
  message = "set networking.useNetworkd = true";
  config.ovs.bridges.br0.uplinks = [ "eth0" ];
}
