# What every server has: networkd, nftables, SSH with keys, a clock, a bounded journal.
{
  config,
  lib,
  options,
  ...
}:
let
  journal = {
    SystemMaxUse = "1G";
    MaxRetentionSec = "3month";
  };
  users = lib.attrValues config.users.users;
  hasKey =
    user: user.openssh.authorizedKeys.keys != [ ] || user.openssh.authorizedKeys.keyFiles != [ ];
  hasPassword = user: user.hashedPassword != null || user.hashedPasswordFile != null;
in
{
  warnings = lib.optional (!lib.any (user: hasKey user || hasPassword user) users) ''
    Nobody can log in on ${config.networking.hostName}: set users.users.root.openssh.authorizedKeys.keys to your SSH key.
  '';

  networking = {
    useNetworkd = true;
    useDHCP = lib.mkDefault false;
    nftables.enable = true;
    firewall.enable = lib.mkDefault true;
  };

  # A link that is not there yet must not hold the start up.
  systemd.network.wait-online.anyInterface = lib.mkDefault true;

  services = {
    openssh = {
      enable = true;
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = lib.mkDefault "prohibit-password";
      };
    };
    timesyncd.enable = lib.mkDefault true;
    # The option has another name since NixOS 26.05.
    journald =
      if options.services.journald ? settings then
        { settings.Journal = journal; }
      else
        { extraConfig = lib.generators.toKeyValue { } journal; };
    btrfs.autoScrub = {
      enable = lib.mkDefault true;
      fileSystems = lib.mkDefault [ "/" ];
      interval = "monthly";
    };
  };

  # Old generations are what a bad upgrade is undone with.
  boot.loader.systemd-boot.configurationLimit = lib.mkDefault 20;

  nix = {
    settings.experimental-features = [
      "nix-command"
      "flakes"
    ];
    gc = {
      automatic = true;
      dates = "weekly";
      options = "--delete-older-than 30d";
    };
    optimise.automatic = true;
  };

  documentation = {
    nixos.enable = lib.mkDefault false;
    doc.enable = lib.mkDefault false;
  };
}
