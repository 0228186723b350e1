{
  message = "a URL with http or https and without a password";
  byType = true;
  config.mcp.upstreams.weather.url = "https://user:password@tools.example.net/mcp";
}
