# What a host needs to be tried in a container whose machine has only control groups of version 1, and which is no
# btrfs itself.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;
  hops = lib.attrNames config.containers;
in
{
  # Without the kernel's module a bridge works in user space.
  options.services.operation-dbus.ovs.bridges = lib.mkOption {
    type = lib.types.attrsOf (lib.types.submodule { config.datapath = lib.mkForce "netdev"; });
  };

  options.containers = lib.mkOption {
    type = lib.types.attrsOf (
      lib.types.submodule {
        # Containers in it run over the same programs.
        config = lib.mkIf (builtins.pathExists (pkgs.path + "/standin/debian.nix")) {
          config = import (pkgs.path + "/standin/debian.nix");
          bindMounts =
            lib.genAttrs
              [
                "/bin"
                "/etc/alternatives"
                "/lib"
                "/lib64"
                "/usr"
              ]
              (path: {
                hostPath = path;
                isReadOnly = true;
              });
        };
      }
    );
  };

  config = {
    services.operation-dbus = {
      btrfs = {
        image = "/var/lib/op-dbus.img";
        size = "1GiB";
      };
      # There is no network to fetch a Debian from.
      lxc.templates.debian-base = lib.mkIf (config.networking.hostName == "proxmox-host") (
        lib.mkForce { recipe = "busybox"; }
      );
    };

    # systemd joins two controllers that the machine has apart, and mounts neither.
    systemd.services.separate-controllers = {
      wantedBy = [ "multi-user.target" ];
      before = [ "op-dbus-apply.service" ];
      path = [ pkgs.util-linux ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        [ -L /sys/fs/cgroup/cpu ] || exit 0
        mount -o remount,rw /sys/fs/cgroup
        for controller in cpu cpuacct; do
          rm /sys/fs/cgroup/$controller
          mkdir /sys/fs/cgroup/$controller
          mount -t cgroup -o $controller none /sys/fs/cgroup/$controller
        done
      '';
    };

    # An unpatched nspawn wants to see an operating system.
    systemd.tmpfiles.rules = map (
      name: "d /var/lib/nixos-containers/${name}/usr 0755 root root -"
    ) hops;

    # Secrets that a person would bring.
    environment.etc = lib.mkIf cfg.privacyRouter.enable { "op-dbus/secrets/xray.json".text = "{}"; };
  };
}
