{ lib, ... }:
let
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus.ledger = {
    inherit (schema.options "Ledger") checkpoints witnesses witness;
  };
}
