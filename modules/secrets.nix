# Secrets are files that something else brings: by hand, sops-nix, opnix or systemd-creds.
{
  config,
  options,
  lib,
  ...
}:
let
  cfg = config.services.operation-dbus;
  credentials = lib.partition (one: one.encrypted) (
    lib.mapAttrsToList (name: one: one // { inherit name; }) cfg.secrets.credentials
  );
  load = map (one: "${one.name}:${one.file}");
in
{
  config.services.operation-dbus.secrets.after = lib.mkDefault (
    lib.optional (
      options ? sops && config.sops.useSystemdActivation or false
    ) "sops-install-secrets.service"
    ++ lib.optional (config.services.onepassword-secrets.enable or false) "opnix-secrets.service"
  );

  # Without a secret of its own the agent does not wait: what brings secrets may wait for a network that the agent makes.
  config.systemd.services.op-dbus-apply = lib.mkIf (cfg.enable && cfg.secrets.credentials != { }) {
    wants = cfg.secrets.after;
    inherit (cfg.secrets) after;
    serviceConfig = {
      LoadCredential = load credentials.wrong;
      LoadCredentialEncrypted = load credentials.right;
    };
  };
}
