{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
in
{
  config = lib.mkIf (cfg.enable && cfg.numa.enable) {
    systemd.services.op-dbus-apply.serviceConfig = {
      NUMAPolicy = "preferred";
      NUMAMask = toString cfg.numa.node;
      CPUAffinity = if cfg.numa.cpuList == null then "numa" else cfg.numa.cpuList;
    };
  };
}
