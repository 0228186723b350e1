# The names below `ovs` and `openflow` are those of the declaration.
{ lib, ... }:
let
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus = {
    ovs = schema.options "Ovs";
    openflow = schema.options "Openflow";
  };
}
