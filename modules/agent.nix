# The agent: its program, its group, and the unit that applies the declaration at boot and at each switch.
{
  config,
  lib,
  utils,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;

  # What stands before the bridge that the host may be reached by.
  apply = [
    (lib.getExe' cfg.package "op-dbus")
    "--file"
    cfg.declarationFile
    "--yes"
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

    users.groups.opdbus = { };
    users.users = lib.genAttrs (lib.unique (lib.concatLists (lib.attrValues cfg.roles))) (_: {
      extraGroups = [ "opdbus" ];
    });

    systemd.services.op-dbus-apply = {
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
      # The programs that templates and containers are made with.
      path = [
        pkgs.btrfs-progs
        pkgs.gnutar
        pkgs.gzip
        pkgs.kmod
        pkgs.util-linux
        pkgs.xz
        pkgs.zstd
        config.systemd.package
      ];

      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = utils.escapeSystemdExecArgs apply;
        # A window, and a template that is downloaded, take their time.
        TimeoutStartSec = "30min";
        UMask = "0022";

        CapabilityBoundingSet = [
          "CAP_CHOWN"
          "CAP_DAC_OVERRIDE"
          "CAP_DAC_READ_SEARCH"
          "CAP_FOWNER"
          "CAP_FSETID"
          "CAP_KILL"
          "CAP_MKNOD"
          "CAP_NET_ADMIN"
          "CAP_SETFCAP"
          "CAP_SETGID"
          "CAP_SETUID"
          "CAP_SYS_ADMIN"
          "CAP_SYS_CHROOT"
          "CAP_SYS_PTRACE"
          "CAP_SYS_RESOURCE"
        ];
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
          "AF_UNIX"
        ];
        RestrictRealtime = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "@mount"
          "@sandbox"
          "~@clock"
          "~@cpu-emulation"
          "~@debug"
          "~@obsolete"
          "~@raw-io"
          "~@reboot"
          "~@swap"
        ];
      }
      # What hides a part of the file system gives the unit mounts of its own, and an image that it mounts
      # would not be seen by the host.
      // lib.optionalAttrs (cfg.btrfs.image == null) {
        PrivateTmp = true;
        ProtectClock = true;
        ProtectHome = "read-only";
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectSystem = "full";
      };
    };

    # A switch that does not change the unit applies too: it mends what has drifted.
    system.activationScripts.op-dbus-apply = ''
      mkdir -p /run/nixos
      echo op-dbus-apply.service >>/run/nixos/activation-restart-list
    '';
  };
}
