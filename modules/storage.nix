{ config, lib, ... }:
let
  cfg = config.services.operation-dbus;
in
{
  config = lib.mkIf cfg.enable {
    boot.supportedFilesystems = [ "btrfs" ];
    boot.kernelModules = lib.mkIf (cfg.btrfs.image != null) [ "loop" ];
  };
}
