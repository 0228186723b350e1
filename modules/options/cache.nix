{ lib, ... }:
let
  inherit (lib) mkOption types;

  size =
    what: default:
    mkOption {
      type = types.nullOr (types.strMatching "[0-9]+( ?(B|[KMGT](iB)?))?");
      default = null;
      example = "4GiB";
      description = "How much ${what} may take, at least 1MiB; with null ${default}.";
    };
in
{
  options.services.operation-dbus.cache = {
    size = size "of the disk what is kept of computed vectors and answers" "1GiB";

    memory = size "memory it" "8MiB";

    age = mkOption {
      type = types.nullOr (types.ints.between 1 36500);
      default = null;
      description = "How many days something may go unused before it is taken out; with null 90.";
    };
  };
}
