# All options as one declaration.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) optionalAttrs;
  cfg = config.services.operation-dbus;
  inherit (cfg.mcp) tls;
  schema = import ./schema.nix { inherit lib; };

  compressed =
    lib.genAttrs
      [
        "@cache"
        "@timing"
        "@vectors"
      ]
      (_: {
        compression = "zstd:${toString cfg.btrfs.compressionLevel}";
      });

  # What a snapshot has where nothing else is said.
  standardSnapshots = (schema.options "Snapshots").subvolumes.default;

  base =
    if cfg.btrfs.image == null then
      cfg.btrfs.basePath
    else
      {
        path = cfg.btrfs.basePath;
        inherit (cfg.btrfs) image size;
      };

  # What differs from what the agent does anyway.
  ledger =
    optionalAttrs (!cfg.ledger.checkpoints.enable || cfg.ledger.checkpoints.origin != null) {
      inherit (cfg.ledger) checkpoints;
    }
    // optionalAttrs (cfg.ledger.witnesses != { }) { inherit (cfg.ledger) witnesses; }
    // optionalAttrs (cfg.ledger.witness != null) { inherit (cfg.ledger) witness; };

  cache =
    lib.filterAttrs (_: value: value != null) cfg.cache
    // optionalAttrs (cfg.numa.enable && cfg.numa.strategy != null) {
      numa = { inherit (cfg.numa) strategy policy nodes; };
    };

  fromOptions = {
    version = "1.0";
    plugins = {
      btrfs = {
        inherit base;
        subvolumes = compressed // cfg.btrfs.extraSubvolumes;
      };
    }
    // optionalAttrs (cfg.ovs.bridges != { }) { inherit (cfg) ovs; }
    // optionalAttrs (cfg.openflow.bridges != { }) { inherit (cfg) openflow; }
    // optionalAttrs (cfg.lxc.templates != { } || cfg.lxc.containers != { }) { inherit (cfg) lxc; };
  }
  // optionalAttrs cfg.daemon.enable {
    inherit (cfg) reconcile;
    access = {
      viewer = {
        users = cfg.roles.viewer;
        # Who reaches the sockets.
        groups = [ "opdbus" ];
      };
      operator.users = cfg.roles.operator;
      admin.users = cfg.roles.admin;
      inherit (cfg.access) files inspect commands;
    };
  }
  // optionalAttrs (cfg.daemon.enable && cfg.mcp.enable) {
    web = {
      listen =
        if lib.hasInfix ":" cfg.mcp.address then
          "[${cfg.mcp.address}]:${toString cfg.mcp.port}"
        else
          "${cfg.mcp.address}:${toString cfg.mcp.port}";
      inherit (cfg.mcp)
        hosts
        origins
        profile
        tokens
        ;
    }
    // optionalAttrs tls.selfSigned { tls.self_signed = true; }
    // optionalAttrs (tls.certificateFile != null) {
      # Where systemd puts the unit's credentials (systemd.exec(5)).
      tls = {
        certificate = "/run/credentials/op-dbus-web.service/certificate";
        key = "/run/credentials/op-dbus-web.service/key";
      };
    };
  }
  // optionalAttrs (cfg.daemon.enable && cfg.mcp.enable && cfg.chat.model != null) {
    chat.model = lib.filterAttrs (_: value: value != null) cfg.chat.model;
  }
  // optionalAttrs (ledger != { }) { inherit ledger; }
  // optionalAttrs (cfg.replication.targets != { }) {
    replication = { inherit (cfg.replication) targets; };
  }
  // optionalAttrs (cfg.snapshots.policies != [ ] || cfg.snapshots.subvolumes != standardSnapshots) {
    inherit (cfg) snapshots;
  }
  // optionalAttrs cfg.ml.enable {
    ml = {
      # A path of the configuration is copied into the store, and text is left as it is.
      model = lib.mapNullable (model: "${model}") cfg.ml.model;
      inherit (cfg.ml) executionProvider numThreads;
    };
  }
  // optionalAttrs (cache != { }) { inherit cache; }
  # A client that starts `op-dbus mcp` gets them too, without the web server.
  // optionalAttrs (cfg.mcp.upstreams != { }) { mcp = { inherit (cfg.mcp) upstreams; }; };

  plugins = lib.optionalString (cfg.pluginDirectory != null) "--plugins ${cfg.pluginDirectory} ";
  canRun = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;

  file =
    pkgs.runCommand "op-dbus-declaration.json"
      {
        declaration = builtins.toJSON cfg.declaration;
        passAsFile = [ "declaration" ];
      }
      ''
        ${lib.getExe' pkgs.jq "jq"} . "$declarationPath" >"$out"
        ${lib.optionalString canRun ''${lib.getExe' cfg.package "op-dbus"} check ${plugins}"$out"''}
      '';
in
{
  config = lib.mkIf cfg.enable {
    services.operation-dbus = {
      declaration = schema.render (lib.recursiveUpdate cfg.defaultState fromOptions);
      declarationFile = file;
    };

    environment.etc."op-dbus/state.json".source = file;
  };
}
