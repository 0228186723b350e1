# What a host on a disk of its own has: the layout that the installer makes, and what it starts with.
{ lib, ... }:
{
  disko.devices = import ../hosts/layout.nix { };

  boot = {
    loader.systemd-boot.enable = true;
    loader.efi.canTouchEfiVariables = lib.mkDefault true;
    # The disks of servers and of virtual machines.
    initrd.availableKernelModules = [
      "ahci"
      "megaraid_sas"
      "mpt3sas"
      "nvme"
      "sd_mod"
      "usb_storage"
      "virtio_blk"
      "virtio_pci"
      "virtio_scsi"
      "xhci_pci"
    ];
  };
}
