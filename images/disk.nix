# A host as a raw disk image, with the layout that its installation has.
{
  config,
  lib,
  ...
}:
{
  disko.devices.disk.system = {
    imageSize = lib.mkDefault "16G";
    imageName = config.networking.hostName;
  };

  # The image may start on other hardware than it was made on.
  boot.loader.efi.canTouchEfiVariables = lib.mkForce false;

  system.build.diskImage = config.system.build.diskoImages;
}
