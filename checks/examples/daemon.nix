# A daemon that says what has drifted and leaves it, with a command and a file for its tools.
{ pkgs, ... }:
{
  users.users.carol.isNormalUser = true;

  services.operation-dbus = {
    enable = true;
    reconcile = "observe";
    roles.operator = [ "carol" ];
    access = {
      files = {
        read = [ "/var/log" ];
        write = [ "/etc/motd.d" ];
      };
      commands.disk-usage = [
        "${pkgs.coreutils}/bin/df"
        "--human-readable"
      ];
    };
    # Groups have roles too.
    defaultState.access.admin.groups = [ "wheel" ];
  };
}
