{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus.btrfs = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the agent keeps its btrfs subvolumes. The ledger and the containers live in them.";
    };

    basePath = mkOption {
      type = types.strMatching "/.+";
      default = "/var/lib/op-dbus";
      description = "The directory that holds the subvolumes. It must be on btrfs, unless `image` is given.";
    };

    image = mkOption {
      type = types.nullOr (types.strMatching "/.+");
      default = null;
      example = "/var/lib/op-dbus.img";
      description = ''
        A file with a btrfs file system that the agent makes and mounts at `basePath`, for a host that has no btrfs
        of its own.
      '';
    };

    size = mkOption {
      type = types.nullOr (schema.type "Size");
      default = null;
      example = "8GiB";
      description = "The size of the image, at least 128 MiB. It can grow later, not shrink.";
    };

    compressionLevel = mkOption {
      type = types.ints.between 1 15;
      default = 3;
      description = ''
        The level of zstd for `@cache`, `@timing` and `@vectors`, which hold much that compresses well. The others
        have level 1.
      '';
    };

    subvolumes = mkOption {
      type = types.listOf (types.enum schema.standardSubvolumes);
      default = schema.standardSubvolumes;
      description = ''
        The standard subvolumes. The agent needs all eight and makes them whether they are listed or not; your own go
        into `extraSubvolumes`.
      '';
    };

    extraSubvolumes = mkOption {
      type = types.attrsOf (schema.type "Subvolume");
      default = { };
      example."@backups".compression = "zstd:9";
      description = "Further subvolumes directly under the base, by name.";
    };
  };
}
