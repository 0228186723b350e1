# The names below `lxc` are those of the declaration.
{ lib, ... }:
let
  schema = import ../schema.nix { inherit lib; };
in
{
  options.services.operation-dbus.lxc = schema.options "Lxc";
}
