# What the ISO and the netboot image of the installer have in common.
{
  config,
  lib,
  modulesPath,
  options,
  pkgs,
  ...
}:
let
  # A profile until NixOS 24.11, an option since.
  allHardwareIsAnOption = lib.pathExists (modulesPath + "/hardware/all-hardware.nix");
in
{
  imports = [
    (modulesPath + "/profiles/minimal.nix")
  ]
  ++ lib.optional (!allHardwareIsAnOption) (modulesPath + "/profiles/all-hardware.nix");

  config = {
    system.stateVersion = config.system.nixos.release;

    hardware = {
      enableRedistributableFirmware = true;
    }
    // lib.optionalAttrs (options.hardware ? enableAllHardware) {
      enableAllHardware = true;
    };

    boot = {
      initrd.systemd.enable = true;
      # The last one is /dev/console.
      kernelParams = [
        "console=tty1"
        "console=ttyS0,115200"
      ];
      supportedFilesystems = [
        "btrfs"
        "vfat"
      ];
      loader.grub.enable = false;
      # Copying a system takes more memory on paper than in fact.
      kernel.sysctl."vm.overcommit_memory" = "1";
    };

    # Each image says what is mounted where in it.
    fileSystems."/" = lib.mkDefault {
      device = "none";
      fsType = "tmpfs";
    };

    networking = {
      useNetworkd = true;
      useDHCP = lib.mkDefault true;
    };
    systemd.network.wait-online.anyInterface = true;

    services.openssh = {
      enable = true;
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "prohibit-password";
      };
    };

    # Who sits at the console can do with the machine as they like anyway.
    services.getty = {
      autologinUser = lib.mkDefault "root";
      helpLine = lib.mkForce ''

        This is the installer of operation-dbus. Begin with: op-dbus-install list
      '';
    };

    nix = {
      channel.enable = false;
      settings.experimental-features = [
        "nix-command"
        "flakes"
      ];
    };

    environment.systemPackages = [
      pkgs.btrfs-progs
      pkgs.gptfdisk
      pkgs.smartmontools
    ];
  };
}
