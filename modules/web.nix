# The web server with the chat: a process without rights, which reaches the daemon by its socket.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.services.operation-dbus;

  upstreams = lib.attrValues (cfg.declaration.mcp.upstreams or { });
  # What it starts lives under the same limits: programs with a compiler of their own need memory that is written and
  # run, one that asks for more than it may is to be told so and not killed, and many are there to reach a service.
  starts = lib.any (one: one ? command) upstreams;
  reachesOut = starts || lib.any (one: !import ./loopback.nix one.url) upstreams;
  withSecrets = lib.any (
    one: one ? token_file || lib.any lib.isAttrs (lib.attrValues (one.environment or { }))
  ) upstreams;

  inherit (cfg.mcp) tls;
  inherit (cfg.chat) model;
  inside = import ./loopback.nix "http://${cfg.declaration.web.listen}";
  asksAway = model != null && !import ./loopback.nix model.url && !isHere model.url;
  # RFC 6761, section 6.3.
  isHere = url: builtins.match "https?://localhost([:/].*)?" url != null;

  # Root's files, which its own user could not read.
  credentials =
    lib.optionals (tls.certificateFile != null) [
      "certificate:${tls.certificateFile}"
      "key:${tls.keyFile}"
    ]
    ++ lib.optional (model != null && model.keyFile or null != null) "model-key:${model.keyFile}";
  secrets = lib.optionals (withSecrets || credentials != [ ]) cfg.secrets.after;
in
{
  config = lib.mkIf (cfg.enable && cfg.mcp.enable && cfg.daemon.enable) {
    users.groups.op-dbus-web = { };
    users.users.op-dbus-web = {
      isSystemUser = true;
      group = "op-dbus-web";
      description = "Web server of operation-dbus";
    };

    networking.firewall = lib.mkIf cfg.mcp.openFirewall { allowedTCPPorts = [ cfg.mcp.port ]; };

    systemd.services.op-dbus-web = {
      description = "Serve the chat and the tools of this host over HTTP";
      aliases = [ "mcp-chat.service" ];
      documentation = [ "man:op-dbus(1)" ];
      wantedBy = [ "multi-user.target" ];
      # Without the daemon it says that this is away, and goes on when it is back.
      # An address that others reach has to be there first.
      wants = [ "op-dbusd.socket" ] ++ lib.optional (!inside) "network-online.target" ++ secrets;
      after = [
        "network.target"
        "op-dbusd.socket"
      ]
      ++ lib.optional (!inside) "network-online.target"
      ++ secrets;
      # Names, origins and the address are read at its start.
      restartTriggers = [ cfg.declarationFile ];

      serviceConfig =
        import ./unprivileged.nix
        // {
          Type = "notify";
          NotifyAccess = "main";
          ExecStart = utils.escapeSystemdExecArgs [
            (lib.getExe' cfg.package "op-dbus")
            "--file"
            "/etc/op-dbus/state.json"
            "web"
          ];
          # Reads names, origins and upstream servers anew; sessions begin again.
          ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
          Restart = "on-failure";
          RestartSec = "2s";
          TimeoutStopSec = "10s";

          User = "op-dbus-web";
          Group = "op-dbus-web";
          # Who reaches the daemon's socket. It is no role: the token of each request is.
          SupplementaryGroups = [ "opdbus" ];

          # What was said, and a certificate of its own making.
          StateDirectory = "op-dbus-web";
          StateDirectoryMode = "0700";

          LimitNOFILE = 4096;
          MemoryMax = if starts then "1G" else "256M";
          TasksMax = if starts then 512 else 64;
          UMask = "0077";

          MemoryDenyWriteExecute = !starts;
          ProcSubset = "pid";
        }
        // lib.optionalAttrs (credentials != [ ]) { LoadCredential = credentials; }
        // lib.optionalAttrs (inside && !reachesOut && !asksAway) {
          IPAddressAllow = "localhost";
          IPAddressDeny = "any";
        }
        // lib.optionalAttrs starts {
          OOMPolicy = "continue";
          SystemCallErrorNumber = "EPERM";
        };
    };
  };
}
