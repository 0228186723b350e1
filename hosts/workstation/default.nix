# The least: the agent, and a base on the disk that is there.
{
  imports = [ ../../profiles/workstation.nix ];

  networking.hostName = "workstation";
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";

  disko.devices = import ../layout.nix { };
  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;

  users.users.admin = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };

  services.operation-dbus = {
    roles.admin = [ "admin" ];
    lxc.templates.busybox.recipe = "busybox";
    lxc.containers.try = {
      template = "busybox";
      network = "none";
      autostart = false;
      running = false;
    };
  };
}
