# Snapshots sent to a disk of this host every hour, and to another host every day.
{
  services.operation-dbus = {
    enable = true;
    replication.targets = {
      disk = {
        path = "/mnt/backup/host-1";
        every = "1h";
        keep = 48;
      };
      offsite = {
        path = "/srv/replicas/host-1";
        ssh = {
          host = "backup.example.org";
          identityFile = "/run/secrets/replication-key";
          knownHostsFile = "/etc/ssh/ssh_known_hosts";
        };
        subvolumes = [
          "@timing"
          "@vectors"
        ];
        every = "1d";
      };
    };
  };
}
