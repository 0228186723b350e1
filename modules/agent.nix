# The agent: its program, and the unit that applies the declaration at boot and at each switch.
{
  config,
  lib,
  utils,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;
  agentUnits = import ./agent-units.nix { inherit lib cfg; };

  # What stands before the bridge that the host may be reached by. The daemon starts after it, so it cannot be asked.
  apply = [
    (lib.getExe' cfg.package "op-dbus")
    "--file"
    cfg.declarationFile
    "--yes"
    "--here"
    "apply"
    "--wait"
  ]
  ++ lib.optionals (cfg.confirmWindow != null) [
    "--confirm"
    cfg.confirmWindow
  ];
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    # Of what the traditional installer leaves, what tools look for.
    environment.etc = {
      "opdbus/deployment-type".text = "nixos\n";
      "opdbus/installed".text = "${cfg.package.version or "unknown"}\n";
    };

    systemd.services = lib.mkMerge [
      (agentUnits (_: {
        # The programs that templates and containers are made with.
        path = [
          pkgs.btrfs-progs
          pkgs.gnutar
          pkgs.gzip
          pkgs.kmod
          pkgs.openssh
          pkgs.util-linux
          pkgs.xz
          pkgs.zstd
          config.systemd.package
        ];
      }))
      {
        op-dbus-apply = {
          description = "Bring this host to its declared state";
          documentation = [ "man:op-dbus(1)" ];
          wantedBy = [ "multi-user.target" ];
          wants = [ "network.target" ];
          after = [
            "local-fs.target"
            "network.target"
          ];
          # In one step: the switch may have its own reasons to start it.
          stopIfChanged = false;
          unitConfig.RequiresMountsFor = [ cfg.btrfs.basePath ];

          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = utils.escapeSystemdExecArgs apply;
            # A window, and a template that is downloaded, take their time.
            TimeoutStartSec = "30min";
            UMask = "0022";
          }
          // import ./sandbox.nix { inherit lib cfg; };
        };
      }
    ];

    # A switch that does not change the unit applies too: it mends what has drifted.
    system.activationScripts.op-dbus-apply = ''
      mkdir -p /run/nixos
      echo op-dbus-apply.service >>/run/nixos/activation-restart-list
    '';
  };
}
