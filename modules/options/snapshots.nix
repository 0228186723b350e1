{ lib, ... }:
let
  schema = import ../schema.nix { inherit lib; };
in
{
  # The requirements' name for it.
  imports = [
    (lib.mkAliasOptionModule
      [ "services" "operation-dbus" "ledger" "retention" ]
      [ "services" "operation-dbus" "snapshots" "retention" ]
    )
  ];

  options.services.operation-dbus.snapshots = schema.options "Snapshots";
}
