# The daemon, which keeps the host in its declared state between two switches, and answers by socket and by bus.
{
  config,
  lib,
  utils,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;
  base = cfg.btrfs.basePath;
  # The agent mounts an image, and a socket that was in its place before would be hidden. There the daemon makes the
  # socket itself.
  socketInBase = cfg.btrfs.image == null;

  # Sockets and bus ask the same list.
  access = lib.genAttrs [ "viewer" "operator" "admin" ] (
    role:
    {
      users = [ ];
      groups = [ ];
    }
    // cfg.declaration.access.${role}
  );

  sandbox = import ./sandbox.nix { inherit lib cfg; };
  # Where tools write is said in the declaration; a file system that is read-only for the unit would only say no later.
  hindersWriting = lib.optionals (cfg.declaration.access.files.write != [ ]) [
    "ProtectHome"
    "ProtectSystem"
  ];
in
{
  config = lib.mkIf (cfg.enable && cfg.daemon.enable) {
    users.groups.opdbus = { };
    users.users = lib.genAttrs (lib.unique (lib.concatLists (lib.attrValues cfg.roles))) (_: {
      extraGroups = [ "opdbus" ];
    });

    systemd.sockets.op-dbusd = {
      description = "Where the daemon of operation-dbus is asked";
      documentation = [ "man:op-dbus(1)" ];
      wantedBy = [ "sockets.target" ];
      listenStreams = [
        "/run/op-dbus/jsonrpc.sock"
      ]
      ++ lib.optional socketInBase "${base}/sockets/api/opdbus.sock";
      # The rules below are carried out anew at a switch.
      after = lib.mkIf socketInBase [ "systemd-tmpfiles-resetup.service" ];
      unitConfig.RequiresMountsFor = lib.mkIf socketInBase [ base ];
      socketConfig = {
        SocketUser = "root";
        SocketGroup = "opdbus";
        SocketMode = "0660";
      };
    };

    # Whoever may write into the directory could put a socket of their own there. The base is a subvolume, as the agent
    # would make it.
    systemd.tmpfiles.rules = lib.optionals socketInBase [
      "v ${base} 0755 root root -"
      "d ${base}/sockets 0750 root opdbus -"
      "d ${base}/sockets/api 0750 root opdbus -"
    ];

    systemd.services.op-dbusd = {
      description = "Keep this host in its declared state";
      documentation = [ "man:op-dbus(1)" ];
      wantedBy = [ "multi-user.target" ];
      # The name that the bus starts it by.
      aliases = [ "dbus-org.opdbus1.service" ];
      requires = [ "op-dbusd.socket" ];
      wants = [ "dbus.socket" ];
      # What was declared anew is applied under its confirm window first. The daemon answers also if that fails.
      after = [
        "dbus.socket"
        "op-dbus-apply.service"
        "op-dbusd.socket"
      ];
      # It would mend towards what is declared anew before that is applied, and without the confirm window. So a switch
      # stops it, and the sockets, before the new declaration is there; without them commands do not wait for it.
      restartTriggers = [ cfg.declarationFile ];
      unitConfig.RequiresMountsFor = [ base ];

      serviceConfig = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = utils.escapeSystemdExecArgs [
          (lib.getExe' cfg.package "op-dbus")
          "--file"
          "/etc/op-dbus/state.json"
          "daemon"
        ];
        ExecReload = "${lib.getExe' pkgs.coreutils "kill"} -HUP $MAINPID";
        # Its first look may build a template.
        TimeoutStartSec = "30min";
        RuntimeDirectory = "op-dbus";
        # The socket in it is systemd's.
        RuntimeDirectoryPreserve = true;
        UMask = "0022";

        WatchdogSec = "1min";
        Restart = "on-failure";
        RestartSec = "5s";
        TimeoutStopSec = "30s";
        # It takes back what it was doing, and ends what it has started.
        KillMode = "mixed";

        # Containers give way first. A program that it runs may be killed for its memory, and the daemon stays.
        OOMScoreAdjust = -500;
        OOMPolicy = "continue";
        MemoryMax = "1G";
      }
      // removeAttrs sandbox hindersWriting;
    };

    # Its policy and the file that starts it.
    services.dbus.packages = [ cfg.package ];

    security.polkit = {
      enable = lib.mkDefault true;
      extraConfig = lib.replaceStrings [ "@access@" ] [ (builtins.toJSON access) ] (
        builtins.readFile ./polkit.js
      );
    };
  };
}
