# Every option of services.operation-dbus. Nothing here configures anything.
{
  imports = [
    ./agent.nix
    ./cache.nix
    ./chat.nix
    ./containers.nix
    ./daemon.nix
    ./declaration.nix
    ./fabric.nix
    ./ledger.nix
    ./mesh.nix
    ./ml.nix
    ./numa.nix
    ./privacy-router.nix
    ./replication.nix
    ./secrets.nix
    ./snapshots.nix
    ./storage.nix
    ./upstreams.nix
    ./web.nix
  ];
}
