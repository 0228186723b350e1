{
  message = "at most 15 characters";
  byType = true;
  config.ovs.bridges.br0.uplinks = [ "a-link-of-16-cha" ];
}
