# A bridge with an uplink, a VLAN, and a flow of its own.
{
  networking.useNetworkd = true;
  networking.useDHCP = false;
  systemd.network.networks."30-ovsbr0" = {
    matchConfig.Name = "ovsbr0";
    networkConfig.DHCP = "yes";
  };

  services.operation-dbus = {
    enable = true;
    ovs.bridges.ovsbr0 = {
      uplinks = [ "eth0" ];
      ports.vlan10.tag = 10;
    };
    openflow.bridges.ovsbr0.flows = [
      {
        priority = 100;
        match.ip_dst = "10.0.0.0/24";
        actions = [ { goto = 10; } ];
      }
    ];
  };
}
