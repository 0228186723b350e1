# The root file system of a minimal NixOS container, for templates whose recipe is `tarball`.
{
  config,
  lib,
  modulesPath,
  options,
  ...
}:
{
  imports = [ (modulesPath + "/virtualisation/lxc-container.nix") ];

  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  system = {
    stateVersion = config.system.nixos.release;
    installer.channel.enable = false;
  };
  # Each container gets its own name from LXC.
  networking = {
    hostName = "";
    useDHCP = false;
    useNetworkd = true;
    useHostResolvConf = false;
  };
  systemd.network.wait-online.enable = false;

  # Containers are entered with `op-dbus container exec`, not by a password or over a network.
  users.users.root.initialHashedPassword = lib.mkForce "!";
  services = {
    openssh.enable = lib.mkForce false;
    getty.helpLine = lib.mkForce "";
    logrotate.enable = lib.mkForce false;
  };

  documentation = {
    enable = lib.mkForce false;
    nixos.enable = lib.mkForce false;
  };
  nix = {
    channel.enable = false;
    # A sandbox takes name spaces that an unprivileged container cannot make.
    settings.sandbox = false;
  };
  environment = {
    defaultPackages = lib.mkForce [ ];
  }
  // lib.optionalAttrs (options.environment ? noXlibs) {
    # Set, it rebuilds packages that the public binary cache has.
    noXlibs = lib.mkForce false;
  };
}
