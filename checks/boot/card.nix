# A network card with the address and the default route of the host, which leads nowhere.
{
  systemd.network.networks."30-eth0" = {
    matchConfig.Name = "eth0";
    address = [ "192.0.2.10/24" ];
    routes = [ { Gateway = "192.0.2.1"; } ];
  };
}
