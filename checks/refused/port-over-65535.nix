{
  message = "between 0 and 65535";
  byType = true;
  config.mcp.port = 65536;
}
