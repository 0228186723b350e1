{
  message = "mcp.upstreams.files.command has to begin with the absolute path of a program";
  config.mcp.upstreams.files.command = [
    "npx"
    "server"
  ];
}
