# Open vSwitch itself is NixOS's; bridges, ports and flows are the agent's. networking.vswitches would delete the
# ports of containers whenever it restarts.
{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
  agentUnits = import ./agent-units.nix { inherit lib cfg; };
  bridges = cfg.ovs.bridges;
  uplinks = lib.unique (lib.concatMap (bridge: bridge.uplinks) (lib.attrValues bridges));
  addressed = lib.attrNames (lib.filterAttrs (_: bridge: bridge.addresses != [ ]) bridges);
in
{
  config = lib.mkIf (cfg.enable && bridges != { }) {
    virtualisation.vswitch.enable = true;

    systemd.services = lib.mkMerge [
      (agentUnits (_: {
        wants = [ "ovs-vswitchd.service" ];
        after = [ "ovs-vswitchd.service" ];
      }))
      (lib.mkIf (uplinks != [ ]) {
        # The agent moves what addresses and routes a link has to its bridge, and back if the change is undone. networkd
        # would take them away before that, so it hears of its new configuration when the change is kept.
        systemd-networkd.reloadTriggers = lib.mkForce [ ];
        op-dbus-apply.serviceConfig.ExecStartPost = "-${lib.getExe' config.systemd.package "networkctl"} reload";
      })
    ];

    systemd.network.networks =
      # The bridge has the addresses; a link in it has none.
      lib.listToAttrs (
        map (
          link:
          lib.nameValuePair "20-op-dbus-uplink-${link}" {
            matchConfig.Name = link;
            networkConfig.LinkLocalAddressing = "no";
            linkConfig.RequiredForOnline = "no";
          }
        ) uplinks
      )
      # What the agent gives addresses to is not networkd's.
      // lib.listToAttrs (
        map (
          link:
          lib.nameValuePair "20-op-dbus-bridge-${link}" {
            matchConfig.Name = link;
            linkConfig.Unmanaged = true;
          }
        ) addressed
      );

    # A host without networkd has a DHCP client that would ask on every link.
    networking.dhcpcd.denyInterfaces = lib.attrNames bridges ++ uplinks ++ [ "sock_*" ];
  };
}
