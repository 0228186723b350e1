{
  description = "Stands in for disko where there is no network: what is mounted where, and nothing that makes it";

  outputs = _: {
    nixosModules.disko =
      {
        config,
        lib,
        pkgs,
        ...
      }:
      let
        partitions = lib.concatMap (disk: lib.attrValues disk.content.partitions) (
          lib.attrValues config.disko.devices.disk
        );
        mounts =
          partition:
          let
            device = "/dev/disk/by-partlabel/${partition.label}";
          in
          if partition.content.type == "btrfs" then
            lib.mapAttrsToList (name: subvolume: {
              ${subvolume.mountpoint} = {
                inherit device;
                fsType = "btrfs";
                options = subvolume.mountOptions ++ [ "subvol=${name}" ];
              };
            }) partition.content.subvolumes
          else
            [
              {
                ${partition.content.mountpoint} = {
                  inherit device;
                  fsType = partition.content.format;
                  options = partition.content.mountOptions;
                };
              }
            ];
        absent = name: pkgs.runCommand name { } "echo 'disko is not here' >&2; exit 1";
      in
      {
        options.disko.devices = lib.mkOption {
          type = lib.types.attrsOf lib.types.anything;
          default = { };
        };
        config = lib.mkIf (config.disko.devices != { }) {
          fileSystems = lib.mkMerge (lib.concatMap mounts partitions);
          system.build = {
            diskoScript = absent "disko-script";
            diskoImages = absent "disko-images";
          };
        };
      };
  };
}
