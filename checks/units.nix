# The units: the program must know the words that they call it with, and what they are allowed must not grow.
{
  lib,
  pkgs,
  units,
}:
let
  # What `systemd-analyze security` may say of each, from 0 (nothing to be afraid of) to 10.
  exposure = {
    # Root for the whole host is what it is for.
    "op-dbus-apply.service" = "7.5";
    "op-dbusd.service" = "6.7";
    # It faces clients, and has nothing that they could take.
    "op-dbus-web.service" = "1.5";
    "op-dbus-witness.service" = "1.5";
    # The container has limits of its own; its monitor outside has few.
    "op-dbus-container@.service" = "9.8";
  };
in
pkgs.runCommand "units"
  {
    nativeBuildInputs = [ pkgs.systemd ];
  }
  ''
    # asks UNIT: each of the program's command lines, with --help behind it, must be understood.
    asks() {
      sed -n 's/^Exec[A-Za-z]*=//p' "$1" | { grep /bin/op-dbus || true; } | while read -r line; do
        eval "$line --help" >/dev/null || { echo "$1: the program does not know: $line" >&2; exit 1; }
      done
    }

    # bounded UNIT BOUND: systemd-analyze wants a file that is named as the unit is.
    bounded() {
      cp --dereference "$1" . && chmod u+w "''${1##*/}"
      systemd-analyze security --offline=true --no-pager --threshold="$(echo "$2 * 10" | sed 's/\.//; s/ .*//')" "./''${1##*/}" >report ||
        { tail -n 3 report >&2; echo "$1 is more exposed than $2" >&2; exit 1; }
      tail -n 1 report
    }

    ${lib.concatMapStringsSep "\n" (
      unit:
      let
        name = builtins.unsafeDiscardStringContext (baseNameOf unit);
      in
      ''
        asks ${unit}
        bounded ${unit} ${exposure.${name} or (throw "${name} has no bound: write one in checks/units.nix")}
      ''
    ) (lib.unique units)}
    touch $out
  ''
