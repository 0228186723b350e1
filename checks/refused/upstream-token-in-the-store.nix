{
  message = "outside of the Nix store";
  byType = true;
  config.mcp.upstreams.weather = {
    url = "https://tools.example.net/mcp";
    token_file = "${builtins.toFile "token" "0123456789abcdef"}";
  };
}
