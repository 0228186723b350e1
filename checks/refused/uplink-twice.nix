{
  message = "eth0 is an uplink of more than one";
  config = {
    nixos.networking.useNetworkd = true;
    ovs.bridges.br0.uplinks = [ "eth0" ];
    ovs.bridges.br1.uplinks = [ "eth0" ];
  };
}
