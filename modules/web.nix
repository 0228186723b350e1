# The web server: a process without rights, which reaches the daemon by its socket.
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.services.operation-dbus;
in
{
  config = lib.mkIf (cfg.enable && cfg.mcp.enable && cfg.daemon.enable) {
    users.groups.op-dbus-web = { };
    users.users.op-dbus-web = {
      isSystemUser = true;
      group = "op-dbus-web";
      description = "Web server of operation-dbus";
    };

    systemd.services.op-dbus-web = {
      description = "Serve the tools of this host over HTTP";
      documentation = [ "man:op-dbus(1)" ];
      wantedBy = [ "multi-user.target" ];
      # Without the daemon it says that this is away, and goes on when it is back.
      wants = [ "op-dbusd.socket" ];
      after = [
        "network.target"
        "op-dbusd.socket"
      ];
      # Names, origins and the address are read at its start.
      restartTriggers = [ cfg.declarationFile ];

      serviceConfig = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = utils.escapeSystemdExecArgs [
          (lib.getExe' cfg.package "op-dbus")
          "--file"
          "/etc/op-dbus/state.json"
          "web"
        ];
        Restart = "on-failure";
        RestartSec = "2s";
        TimeoutStopSec = "10s";

        User = "op-dbus-web";
        Group = "op-dbus-web";
        # Who reaches the daemon's socket. It is no role: the token of each request is.
        SupplementaryGroups = [ "opdbus" ];

        LimitNOFILE = 4096;
        MemoryMax = "256M";
        TasksMax = 64;
        UMask = "0077";

        CapabilityBoundingSet = "";
        DevicePolicy = "closed";
        IPAddressAllow = "localhost";
        IPAddressDeny = "any";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
          "~@resources"
        ];
      };
    };
  };
}
