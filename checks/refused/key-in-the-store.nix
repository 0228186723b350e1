{
  message = "netmaker.joinKey would put the key into the Nix store, which everybody can read: write it into a file";
  config.netmaker = {
    enable = true;
    joinKey = "secret";
  };
}
