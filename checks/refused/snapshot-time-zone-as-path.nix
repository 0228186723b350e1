{
  message = "time zone";
  byType = true;
  config.snapshots.time_zone = "/etc/localtime";
}
