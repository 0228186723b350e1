{
  message = "mcp:read";
  byType = true;
  config.mcp = {
    enable = true;
    tokens.laptop = {
      file = "/etc/op-dbus/tokens/laptop";
      scopes = [ "everything" ];
    };
  };
}
