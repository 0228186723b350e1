{
  message = "take it out of networking.vswitches";
  config = {
    nixos.networking.vswitches.br0 = { };
    ovs.bridges.br0 = { };
  };
}
