{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
in
{
  config = lib.mkIf (cfg.enable && cfg.netmaker.enable) {
    services.netclient.enable = true;
    boot.kernelModules = [ "wireguard" ];
    networking.firewall.allowedUDPPorts = [ cfg.netmaker.port ];

    systemd.services.netclient = {
      wants = [ "network-online.target" ];
      inherit (cfg.secrets) after;
    };
  };
}
