# The least: the agent, and a base on the disk that is there.
{
  imports = [
    ../../profiles/workstation.nix
    ../../profiles/disk.nix
  ];

  networking.hostName = "workstation";
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";

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
