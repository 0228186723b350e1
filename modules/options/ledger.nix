{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };

  kept =
    period:
    mkOption {
      type = types.ints.unsigned;
      default = 5;
      description = "How many ${period} snapshots are kept. This version takes none yet.";
    };
in
{
  options.services.operation-dbus.ledger = {
    retention = {
      hourly = kept "hourly";
      daily = kept "daily";
      weekly = kept "weekly";
      quarterly = kept "quarterly";
    };

    inherit (schema.options "Ledger") checkpoints witnesses witness;
  };
}
