# With a strategy the agent places its own threads, and needs all nodes for that; without one systemd places the agent.
{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
  agentUnits = import ./agent-units.nix { inherit lib cfg; };
in
{
  config = lib.mkIf (cfg.enable && cfg.numa.enable && cfg.numa.strategy == null) {
    systemd.services = agentUnits (_: {
      serviceConfig = {
        NUMAPolicy = "preferred";
        NUMAMask = toString cfg.numa.node;
        CPUAffinity = if cfg.numa.cpuList == null then "numa" else cfg.numa.cpuList;
      };
    });
  };
}
