{
  message = "upstreams.files.environment.API_TOKEN would put a secret into the Nix store, which everybody can read";
  config.mcp.upstreams.files = {
    command = [ "/run/current-system/sw/bin/true" ];
    environment.API_TOKEN = "0123456789abcdef";
  };
}
