# The installer as an ISO image for CD and USB, started by UEFI or BIOS. It carries the systems it installs.
{
  config,
  lib,
  modulesPath,
  options,
  pkgs,
  ...
}:
let
  name = "op-dbus-installer-${config.system.nixos.release}-${pkgs.stdenv.hostPlatform.system}";
in
{
  imports = [ (modulesPath + "/installer/cd-dvd/iso-image.nix") ];

  config = {
    operation-dbus.installer.carry = true;

    isoImage = {
      makeEfiBootable = true;
      makeUsbBootable = true;
      volumeID = "OP_DBUS_INSTALLER";
      appendToMenuLabel = " operation-dbus installer";
      # Half as slow to make as the default, and about as small.
      squashfsCompression = "zstd -Xcompression-level 12";
    }
    // lib.optionalAttrs (!(options ? image.baseName)) {
      isoName = lib.mkForce "${name}.iso";
    };
  }
  # The name moved to an option of all images in NixOS 25.05.
  // lib.optionalAttrs (options ? image.baseName) {
    image.baseName = lib.mkForce name;
  };
}
