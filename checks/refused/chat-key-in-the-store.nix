{
  message = "outside of the Nix store";
  byType = true;
  config = {
    mcp.enable = true;
    chat.model = {
      url = "https://models.example.net/v1";
      name = "large";
      keyFile = "${builtins.toFile "key" "key"}";
    };
  };
}
