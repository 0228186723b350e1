{
  message = ''is for a port of type "veth"'';
  config.ovs.bridges.br0.ports.lab0.peer = "lab1";
}
