# The card joins a bridge, which gets its address and route.
{ lib, ... }:
{
  imports = [ ./card.nix ];

  services.operation-dbus = {
    confirmWindow = "5s";
    ovs.bridges.ovsbr0.uplinks = [ "eth0" ];
    lxc.containers =
      lib.genAttrs
        [
          "db-01"
          "web-01"
        ]
        (_: {
          bridge = "opdemo0";
        });
  };

  systemd.network.networks."30-ovsbr0" = {
    matchConfig.Name = "ovsbr0";
    address = [ "192.0.2.10/24" ];
    routes = [ { Gateway = "192.0.2.1"; } ];
  };
}
