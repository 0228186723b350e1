# Targets of replication: what is declared.
{ evaluate, ... }:
let
  replication =
    targets: (evaluate.declaration { replication = { inherit targets; }; }).replication or null;
in
{
  testNoneIsDeclaredUnlessAsked = {
    expr = replication { };
    expected = null;
  };

  testWhatIsNotGivenIsLeftOut = {
    expr = replication { disk.path = "/mnt/backup/host"; };
    expected.targets.disk = {
      path = "/mnt/backup/host";
      subvolumes = [ ];
    };
  };

  testAHostIsReachedAsRootByDefault = {
    expr =
      (replication {
        offsite = {
          path = "/srv/replicas/host";
          ssh = {
            host = "backup.example.org";
            identityFile = "/run/secrets/key";
            knownHostsFile = "/etc/ssh/ssh_known_hosts";
          };
        };
      }).targets.offsite.ssh;
    expected = {
      host = "backup.example.org";
      identityFile = "/run/secrets/key";
      knownHostsFile = "/etc/ssh/ssh_known_hosts";
      port = 22;
      user = "root";
    };
  };
}
