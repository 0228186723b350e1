# services.operation-dbus: its options, and one file for each thing that NixOS has to do for it. The agent does the rest.
{
  imports = [
    ./options
    ./agent.nix
    ./assertions.nix
    ./containers.nix
    ./daemon.nix
    ./declaration.nix
    ./fabric.nix
    ./mesh.nix
    ./numa.nix
    ./privacy-router.nix
    ./secrets.nix
    ./storage.nix
    ./web.nix
    ./witness.nix
  ];
}
