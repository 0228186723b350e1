{
  message = "outside of the Nix store";
  byType = true;
  config.mcp = {
    enable = true;
    tokens.laptop = {
      file = "${builtins.toFile "token" "0123456789abcdef0123456789abcdef"}";
      scopes = [ "mcp:read" ];
    };
  };
}
