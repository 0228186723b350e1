{
  message = "outside of the Nix store";
  byType = true;
  config.replication.targets.offsite = {
    path = "/srv/replicas/host";
    ssh = {
      host = "backup.example.org";
      identityFile = "${builtins.toFile "key" "0123456789abcdef"}";
      knownHostsFile = "/etc/ssh/ssh_known_hosts";
    };
  };
}
