{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.operation-dbus = {
    enable = lib.mkEnableOption "operation-dbus, which keeps this host in its declared state";

    package = lib.mkPackageOption pkgs "op-dbus" { };

    confirmWindow = mkOption {
      type = types.nullOr (types.strMatching "0|[1-9][0-9]*(s|m|h)");
      default = null;
      example = "5m";
      description = ''
        How long the changes of a switch wait for `op-dbus confirm` before they are undone; `"0"` turns that off.
        With null, changes that touch the management path (the link of a default route and what carries it) wait
        60 seconds and others do not wait.
      '';
    };
  };
}
