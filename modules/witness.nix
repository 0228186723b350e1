# The witness of other hosts' ledgers: a process without rights, which nobody on this host has to trust.
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.services.operation-dbus;
  inherit (cfg.ledger) witness;
  inside = import ./loopback.nix "http://${witness.listen}";
in
{
  config = lib.mkIf (cfg.enable && witness != null) {
    users.groups.op-dbus-witness = { };
    users.users.op-dbus-witness = {
      isSystemUser = true;
      group = "op-dbus-witness";
      description = "Witness of other hosts' ledgers";
    };

    systemd.services.op-dbus-witness = {
      description = "Watch over the ledgers of other hosts";
      documentation = [ "man:op-dbus(1)" ];
      wantedBy = [ "multi-user.target" ];
      # It listens on a private address, which has to be there.
      wants = lib.optional (!inside) "network-online.target";
      after = [ "network.target" ] ++ lib.optional (!inside) "network-online.target";
      # Keys and the address are read at its start.
      restartTriggers = [ cfg.declarationFile ];

      serviceConfig = import ./unprivileged.nix // {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = utils.escapeSystemdExecArgs [
          (lib.getExe' cfg.package "op-dbus")
          "--file"
          "/etc/op-dbus/state.json"
          "witness"
          "serve"
        ];
        Restart = "on-failure";
        RestartSec = "2s";
        TimeoutStopSec = "10s";

        User = "op-dbus-witness";
        Group = "op-dbus-witness";
        # Its key, and the heads that it has seen. Without these it could not tell a fork.
        StateDirectory = "op-dbus-witness";
        StateDirectoryMode = "0700";

        LimitNOFILE = 256;
        MemoryMax = "64M";
        TasksMax = 32;
        UMask = "0077";

        IPAddressAllow =
          if inside then
            "localhost"
          else
            [
              "localhost"
              "10.0.0.0/8"
              "172.16.0.0/12"
              "192.168.0.0/16"
              "fc00::/7"
            ];
        IPAddressDeny = "any";
        MemoryDenyWriteExecute = true;
      };
    };
  };
}
