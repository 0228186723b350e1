{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
in
{
  config = lib.mkIf (cfg.enable && cfg.mcp.enable) {
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.mcp.openFirewall [ cfg.mcp.port ];

    warnings = [
      ''
        services.operation-dbus.mcp.enable: this version of op-dbus has no web server yet, so none is started. The
        options are checked and the firewall is set.
      ''
    ];
  };
}
