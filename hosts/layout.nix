# One GPT disk with an EFI system partition and one btrfs file system, for disko. The partitions are found
# by label (/dev/disk/by-partlabel), which is what disko then makes `fileSystems` of, so that nothing in
# the installed system depends on `device`.
{
  # The installer makes this link to the disk that it was told to use.
  device ? "/dev/disk/by-op-dbus/system",
  espSize ? "1G",
}:
let
  mountOptions = [
    "compress=zstd"
    "noatime"
  ];
  subvolume = mountpoint: { inherit mountpoint mountOptions; };
in
{
  disk.system = {
    type = "disk";
    inherit device;
    content = {
      type = "gpt";
      partitions = {
        esp = {
          label = "op-dbus-esp";
          type = "EF00";
          size = espSize;
          content = {
            type = "filesystem";
            format = "vfat";
            mountpoint = "/boot";
            mountOptions = [ "umask=0077" ];
          };
        };
        system = {
          label = "op-dbus-system";
          size = "100%";
          content = {
            type = "btrfs";
            extraArgs = [ "--force" ];
            subvolumes = {
              "@root" = subvolume "/";
              "@nix" = subvolume "/nix";
              "@log" = subvolume "/var/log";
              "@home" = subvolume "/home";
              # The agent makes its own subvolumes below this one.
              "@op-dbus" = subvolume "/var/lib/op-dbus";
            };
          };
        };
      };
    };
  };
}
