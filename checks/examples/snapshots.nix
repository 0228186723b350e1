# A snapshot before each run and each hour, a month of days, by the clock of the place.
{
  services.operation-dbus = {
    enable = true;
    btrfs.extraSubvolumes."@web" = { };
    snapshots = {
      policies = [
        "per-operation"
        "hourly"
      ];
      subvolumes = [
        "@state"
        "@timing"
        "@vectors"
        "@web"
      ];
      retention.daily = 31;
      time_zone = "Europe/Berlin";
    };
  };
}
