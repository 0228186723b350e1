{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.operation-dbus.installer;

  disk = cfg.unattended.disk;
  diskRule =
    if disk.byId != null then
      "by-id:${disk.byId}"
    else if disk.serial != null then
      "serial:${disk.serial}"
    else if disk.path != null then
      disk.path
    else
      disk.rule;

  # Only its name: the image does not carry a system that is fetched.
  toplevel =
    host:
    if cfg.carry then "${host.toplevel}" else builtins.unsafeDiscardStringContext "${host.toplevel}";

  settings = {
    hosts = lib.mapAttrs (_: host: {
      toplevel = toplevel host;
      disko = "${host.diskoScript}";
    }) cfg.hosts;
    inherit (cfg) consoles;
    unattended = {
      inherit (cfg.unattended)
        enable
        host
        allowWipe
        afterwards
        ;
      disk = diskRule;
    };
  };

  package = pkgs.callPackage ./package.nix {
    nix = config.nix.package;
    inherit (config.system.build) nixos-install;
    systemd = config.systemd.package;
  };
in
{
  options.operation-dbus.installer = {
    hosts = lib.mkOption {
      type = lib.types.attrsOf (
        lib.types.submodule {
          options = {
            toplevel = lib.mkOption {
              type = lib.types.package;
              description = "The system of the host.";
              example = lib.literalExpression "nixosConfigurations.demo.config.system.build.toplevel";
            };
            diskoScript = lib.mkOption {
              type = lib.types.package;
              description = ''
                The script that partitions, formats and mounts the disk
                {file}`/dev/disk/by-op-dbus/system` at {file}`/mnt`.
              '';
              example = lib.literalExpression "nixosConfigurations.demo.config.system.build.diskoScript";
            };
          };
        }
      );
      default = { };
      description = "The hosts that can be installed.";
    };

    carry = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether the image carries the systems of the hosts. If not, they are fetched from the binary cache
        that `op-dbus.cache=URL` on the kernel command line names, while they are installed.
      '';
    };

    consoles = lib.mkOption {
      type = lib.types.listOf lib.types.path;
      default = [
        "/dev/tty1"
        "/dev/ttyS0"
      ];
      description = "Where the progress of an unattended installation is shown, besides the journal.";
    };

    unattended = {
      enable = lib.mkEnableOption ''
        installing without being asked, as soon as the image has started. The kernel command line can say
        so too, and goes before the options here: `op-dbus.host=`, `op-dbus.disk=`, `op-dbus.wipe=`,
        `op-dbus.afterwards=`'';

      host = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "demo";
        description = "The host to install.";
      };

      disk = {
        byId = lib.mkOption {
          type = lib.types.nullOr lib.types.str;
          default = null;
          example = "nvme-Samsung_SSD_980_S64DNX0R123456";
          description = "The name in {file}`/dev/disk/by-id` of the disk to install onto.";
        };
        serial = lib.mkOption {
          type = lib.types.nullOr lib.types.str;
          default = null;
          example = "S64DNX0R123456";
          description = "The serial number of the disk to install onto.";
        };
        path = lib.mkOption {
          type = lib.types.nullOr lib.types.path;
          default = null;
          example = "/dev/disk/by-path/pci-0000:00:1f.2-ata-1";
          description = "The path of the disk to install onto.";
        };
        rule = lib.mkOption {
          type = lib.types.enum [
            "only"
            "smallest"
            "largest"
          ];
          default = "only";
          description = ''
            Which disk to install onto if none is named. Removable disks, read-only disks and disks in use do
            not count. If the rule fits several disks, nothing is installed.
          '';
        };
      };

      allowWipe = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "S64DNX0R123456" ];
        description = ''
          The disks that may lose what they hold, by serial number or by name in {file}`/dev/disk/by-id`.
          Any other disk that holds something is refused.
        '';
      };

      afterwards = lib.mkOption {
        type = lib.types.enum [
          "reboot"
          "poweroff"
          "stay"
        ];
        default = "reboot";
        description = "What to do after the installation.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion =
          lib.length (
            lib.filter (name: name != null) [
              disk.byId
              disk.serial
              disk.path
            ]
          ) <= 1;
        message = ''
          operation-dbus.installer.unattended.disk names the disk in several ways; keep one of byId, serial
          and path.
        '';
      }
      {
        assertion = cfg.unattended.enable -> cfg.unattended.host != null;
        message = "operation-dbus.installer.unattended is enabled; say which host, with unattended.host.";
      }
      {
        assertion = cfg.unattended.host != null -> cfg.hosts ? ${cfg.unattended.host};
        message = ''
          operation-dbus.installer.unattended.host is "${toString cfg.unattended.host}", which is not in
          operation-dbus.installer.hosts.
        '';
      }
    ];

    environment.etc."op-dbus/installer.json".text = builtins.toJSON settings;
    environment.systemPackages = [ package ];

    systemd.services.op-dbus-install = {
      description = "Install a host onto a disk of this machine";
      documentation = [ "man:nixos-install(8)" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      unitConfig.ConditionKernelCommandLine = lib.mkIf (!cfg.unattended.enable) "op-dbus.host";
      # A switch of the running system is no reason to install again.
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # Some disks take a while to appear.
        ExecStartPre = "-${lib.getExe' config.systemd.package "udevadm"} settle --timeout=60";
        ExecStart = "${lib.getExe package} unattended";
        StandardOutput = "journal";
        StandardError = "journal";
        TimeoutStartSec = "infinity";
      };
    };
  };
}
