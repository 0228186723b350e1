{
  message = "absolute path";
  byType = true;
  config.replication.targets.disk.path = "/mnt/back up";
}
