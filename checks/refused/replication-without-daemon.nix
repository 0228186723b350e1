{
  message = "which keeps the time";
  config = {
    daemon.enable = false;
    replication.targets.disk = {
      path = "/mnt/backup/host";
      every = "1h";
    };
  };
}
