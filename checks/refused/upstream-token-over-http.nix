{
  message = "mcp.upstreams.weather.url is http, and everybody on the way could read the token";
  config.mcp.upstreams.weather = {
    url = "http://tools.example.net/mcp";
    token_file = "/run/secrets/weather-token";
  };
}
