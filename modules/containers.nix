# Containers run in units of their own, which a switch leaves alone.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;
  agentUnits = import ./agent-units.nix { inherit lib cfg; };
  containers = "${cfg.btrfs.basePath}/@containers";
  lxc = config.virtualisation.lxc.package or pkgs.lxc;
  # Another base has units of its own, which the agent writes.
  standardBase = cfg.btrfs.basePath == "/var/lib/op-dbus";
  # Loads the profiles that LXC makes for containers.
  confinement = lib.optional config.security.apparmor.enable pkgs.apparmor-parser;
in
{
  config = lib.mkIf (cfg.enable && (cfg.lxc.templates != { } || cfg.lxc.containers != { })) {
    virtualisation.lxc.enable = true;

    systemd.services =
      agentUnits (_: {
        path = [
          lxc
          pkgs.debootstrap
          pkgs.mmdebstrap
          pkgs.pkgsStatic.busybox
        ]
        ++ confinement;
      })
      // {
        "op-dbus-container@" = lib.mkIf standardBase {
          description = "Container %i";
          documentation = [ "man:lxc-start(1)" ];
          after = [
            "network.target"
            "ovs-vswitchd.service"
          ];
          unitConfig.ConditionPathExists = "${containers}/%i/config";
          restartIfChanged = false;
          # Without newuidmap, which would ask /etc/subuid: LXC then writes the maps of user ids itself.
          path = lib.mkForce ([ pkgs.coreutils ] ++ confinement);

          # The container's own limits and its user namespace bound it; the monitor outside has to mount,
          # map ids and make devices for it.
          serviceConfig = {
            ExecStart = "${lib.getExe' lxc "lxc-start"} -F -P ${containers} -n %i";
            ExecStop = "${lib.getExe' lxc "lxc-stop"} -P ${containers} -n %i -t 30";
            Delegate = true;
            KillMode = "mixed";
            TimeoutStopSec = 45;
          };
        };
      };
  };
}
