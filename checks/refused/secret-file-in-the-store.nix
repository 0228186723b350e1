{
  message = "outside of the Nix store";
  byType = true;
  config.netmaker = {
    enable = true;
    joinKeyFile = "${builtins.toFile "join-key" "secret"}";
  };
}
