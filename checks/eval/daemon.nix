# The daemon: its sockets, its place among the other units, and who may ask it.
{
  lib,
  evaluate,
  hosts,
  ...
}:
let
  # The base of the first is an image, that of the second a file system.
  image = hosts.demo.config;
  directory = hosts.workstation.config;
  changed =
    settings:
    (hosts.workstation.extendModules { modules = [ { services.operation-dbus = settings; } ]; }).config;
  off = changed { daemon.enable = false; };
  access = options: (evaluate.declaration options).access;
  ours = lib.filterAttrs (name: _: lib.hasPrefix "op-dbusd" name);
  socket = config: config.systemd.sockets.op-dbusd;
  daemon = config: config.systemd.services.op-dbusd;
  ourRules = config: lib.filter (lib.hasInfix " /var/lib/op-dbus") config.systemd.tmpfiles.rules;
in
{
  testItListensInItsBaseAndBesides = {
    expr = (socket directory).listenStreams;
    expected = [
      "/run/op-dbus/jsonrpc.sock"
      "/var/lib/op-dbus/sockets/api/opdbus.sock"
    ];
  };

  testASocketIsNotMadeWhereAnImageIsMountedLater = {
    expr = {
      sockets = (socket image).listenStreams;
      rules = ourRules image;
    };
    expected = {
      sockets = [ "/run/op-dbus/jsonrpc.sock" ];
      rules = [ ];
    };
  };

  testTheSocketsAreForTheGroupAlone = {
    expr = (socket directory).socketConfig;
    expected = {
      SocketUser = "root";
      SocketGroup = "opdbus";
      SocketMode = "0660";
    };
  };

  testTheSocketWaitsForTheFileSystemOfTheBase = {
    expr =
      (socket (changed {
        btrfs.basePath = "/srv/op-dbus";
      })).unitConfig.RequiresMountsFor;
    expected = [ "/srv/op-dbus" ];
  };

  testNobodyElsePutsASocketThere = {
    expr = ourRules directory;
    expected = [
      "v /var/lib/op-dbus 0755 root root -"
      "d /var/lib/op-dbus/sockets 0750 root opdbus -"
      "d /var/lib/op-dbus/sockets/api 0750 root opdbus -"
    ];
  };

  testItStartsWhenTheDeclarationWasApplied = {
    expr =
      let
        unit = daemon directory;
      in
      {
        after = lib.elem "op-dbus-apply.service" unit.after;
        # It answers also when that failed.
        needs = lib.elem "op-dbus-apply.service" (unit.requires ++ unit.wants ++ unit.bindsTo);
        inherit (unit) wantedBy requires;
      };
    expected = {
      after = true;
      needs = false;
      wantedBy = [ "multi-user.target" ];
      requires = [ "op-dbusd.socket" ];
    };
  };

  # It could be asked only when that has ended.
  testWhatAppliesDoesNotAskIt = {
    expr = lib.hasInfix ''"--here" "apply"'' directory.systemd.services.op-dbus-apply.serviceConfig.ExecStart;
    expected = true;
  };

  # So that a switch stops it before the new declaration is there, and starts it when that was applied.
  testItIsAnotherUnitForAnotherDeclaration =
    let
      triggers = config: map toString (daemon config).restartTriggers;
    in
    {
      expr = {
        differs =
          triggers directory != triggers (changed {
            lxc.containers.try.memory = "64MiB";
          });
        inherit (daemon directory) reloadIfChanged restartIfChanged stopIfChanged;
      };
      expected = {
        differs = true;
        reloadIfChanged = false;
        restartIfChanged = true;
        stopIfChanged = true;
      };
    };

  testItReadsTheDeclarationOfTheSystem = {
    expr = lib.hasSuffix ''"--file" "/etc/op-dbus/state.json" "daemon"'' (daemon directory)
    .serviceConfig.ExecStart;
    expected = true;
  };

  testItHasTheProgramsOfTheOneThatApplies = {
    expr = (daemon image).path == image.systemd.services.op-dbus-apply.path;
    expected = true;
  };

  testWhereToolsMayWriteTheFileSystemIsNotReadOnly = {
    expr = map (config: (daemon config).serviceConfig.ProtectSystem or "no") [
      directory
      (changed { access.files.write = [ "/etc/motd.d" ]; })
      image
    ];
    expected = [
      "full"
      "no"
      "no"
    ];
  };

  # Introspection reads what processes, the firmware, sensors and devices say, and plugins write below the base.
  testItSeesTheHost = {
    expr = lib.intersectLists (lib.attrNames (daemon directory).serviceConfig) [
      "BindPaths"
      "BindReadOnlyPaths"
      "InaccessiblePaths"
      "PrivateDevices"
      "PrivateNetwork"
      "PrivateUsers"
      "ProcSubset"
      "ProtectControlGroups"
      "ProtectKernelTunables"
      "ProtectProc"
      "ReadOnlyPaths"
      "RootDirectory"
    ];
    expected = [ ];
  };

  testTheBusStartsIt = {
    expr = {
      name = (daemon directory).aliases;
      policy = lib.elem directory.services.operation-dbus.package directory.services.dbus.packages;
      polkit = directory.security.polkit.enable;
    };
    expected = {
      name = [ "dbus-org.opdbus1.service" ];
      policy = true;
      polkit = true;
    };
  };

  testRolesJoinTheGroup = {
    expr = lib.elem "opdbus" directory.users.users.admin.extraGroups;
    expected = true;
  };

  testRolesAreInTheDeclaration = {
    expr = access {
      roles = {
        viewer = [ "bob" ];
        operator = [ "carol" ];
        admin = [ "alice" ];
      };
    };
    expected = {
      viewer = {
        users = [ "bob" ];
        groups = [ "opdbus" ];
      };
      operator.users = [ "carol" ];
      admin.users = [ "alice" ];
      files = {
        read = [
          "/etc"
          "/var/log"
        ];
        write = [ ];
      };
      inspect.urls = [ ];
      commands = { };
    };
  };

  testGroupsGetRolesByTheDefaultState = {
    expr =
      (access {
        roles.admin = [ "alice" ];
        defaultState.access.admin.groups = [ "wheel" ];
      }).admin;
    expected = {
      users = [ "alice" ];
      groups = [ "wheel" ];
    };
  };

  testFilesCommandsAndUrlsAreInTheDeclaration = {
    expr =
      lib.getAttrs
        [
          "commands"
          "files"
          "inspect"
        ]
        (access {
          access = {
            inspect.urls = [ "https://example.org/schemas/" ];
            files.write = [ "/srv/notes" ];
            commands.uptime = [ "/run/current-system/sw/bin/uptime" ];
          };
        });
    expected = {
      commands.uptime = [ "/run/current-system/sw/bin/uptime" ];
      files = {
        read = [
          "/etc"
          "/var/log"
        ];
        write = [ "/srv/notes" ];
      };
      inspect.urls = [ "https://example.org/schemas/" ];
    };
  };

  testDriftMayBeLeft = {
    expr = map (options: (evaluate.declaration options).reconcile) [
      { }
      { reconcile = "observe"; }
    ];
    expected = [
      "enforce"
      "observe"
    ];
  };

  testThePolkitRuleAsksTheSameList = {
    expr =
      let
        config = changed {
          roles.operator = [ "admin" ];
          defaultState.access.admin.groups = [ "wheel" ];
        };
        list = {
          viewer = {
            users = [ ];
            groups = [ "opdbus" ];
          };
          operator = {
            users = [ "admin" ];
            groups = [ ];
          };
          admin = {
            users = [ "admin" ];
            groups = [ "wheel" ];
          };
        };
      in
      lib.hasInfix "var access = ${builtins.toJSON list};" config.security.polkit.extraConfig;
    expected = true;
  };

  testWithoutItNothingOfItIsThere = {
    expr = {
      services = lib.attrNames (ours off.systemd.services);
      sockets = lib.attrNames (ours off.systemd.sockets);
      rules = ourRules off;
      group = off.users.groups ? opdbus;
      member = lib.elem "opdbus" off.users.users.admin.extraGroups;
      bus = lib.elem off.services.operation-dbus.package off.services.dbus.packages;
      polkit = lib.hasInfix "org.opdbus1" off.security.polkit.extraConfig;
      declared = lib.attrNames off.services.operation-dbus.declaration;
    };
    expected = {
      services = [ ];
      sockets = [ ];
      rules = [ ];
      group = false;
      member = false;
      bus = false;
      polkit = false;
      declared = [
        "plugins"
        "version"
      ];
    };
  };
}
