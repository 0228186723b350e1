{
  networking.hostName = "installer";
  nixpkgs.hostPlatform = "x86_64-linux";
  operation-dbus.installer.unattended.enable = false;
}
