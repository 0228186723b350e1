# What the options become in the declaration.
{
  lib,
  evaluate,
  hosts,
  ...
}:
let
  inherit (evaluate) declaration;
  plugins = options: (declaration options).plugins;
in
{
  testTheLeastHasTheStandardBase = {
    expr = declaration { daemon.enable = false; };
    expected = {
      version = "1.0";
      plugins.btrfs = {
        base = "/var/lib/op-dbus";
        subvolumes = {
          "@cache".compression = "zstd:3";
          "@timing".compression = "zstd:3";
          "@vectors".compression = "zstd:3";
        };
      };
    };
  };

  testSnapshotsAreDeclaredWhereThereIsAPolicy = {
    expr = {
      without = (declaration { ledger.retention.hourly = 24; }) ? snapshots;
      inherit
        (declaration {
          snapshots.policies = [ "daily" ];
          ledger.retention.daily = 31;
        })
        snapshots
        ;
    };
    expected = {
      without = false;
      snapshots = {
        policies = [ "daily" ];
        retention = {
          operation = 5;
          minute = 5;
          hourly = 5;
          daily = 31;
          weekly = 5;
          quarterly = 5;
        };
        subvolumes = [
          "@plugins"
          "@state"
          "@timing"
          "@vectors"
        ];
      };
    };
  };

  testTheCompressionLevelIsThatOfWhatCompressesWell = {
    expr = (plugins { btrfs.compressionLevel = 9; }).btrfs.subvolumes."@vectors".compression;
    expected = "zstd:9";
  };

  testABaseMayBeAnImage = {
    expr =
      (plugins {
        btrfs = {
          image = "/srv/op-dbus.img";
          size = "8GiB";
        };
      }).btrfs.base;
    expected = {
      path = "/var/lib/op-dbus";
      image = "/srv/op-dbus.img";
      size = "8GiB";
    };
  };

  testTheBaseMayBeElsewhere = {
    expr = (plugins { btrfs.basePath = "/srv/op-dbus"; }).btrfs.base;
    expected = "/srv/op-dbus";
  };

  testOwnSubvolumesJoinTheStandardOnes = {
    expr =
      (plugins { btrfs.extraSubvolumes."@backups".compression = "lzo"; }).btrfs.subvolumes."@backups";
    expected = {
      compression = "lzo";
      adopt = false;
    };
  };

  testListingStandardSubvolumesChangesNothing = {
    expr = plugins { btrfs.subvolumes = [ "@cache" ]; } == plugins { };
    expected = true;
  };

  testABridgeHasItsDefaults = {
    expr = (plugins { ovs.bridges.br0 = { }; }).ovs.bridges.br0;
    expected = {
      datapath = "system";
      fail_mode = "standalone";
      uplinks = [ ];
      addresses = [ ];
      ports = { };
      adopt = false;
    };
  };

  testAPortIsRenderedWithWhatIsGivenAlone = {
    expr = (plugins { ovs.bridges.br0.ports.vlan10.tag = 10; }).ovs.bridges.br0.ports.vlan10;
    expected = {
      type = "internal";
      tag = 10;
      adopt = false;
    };
  };

  testAFlowMayHaveActionsOfBothKinds = {
    expr =
      (plugins {
        ovs.bridges.br0 = { };
        openflow.bridges.br0.flows = [
          {
            match = {
              eth_type = "ip";
              ip_proto = 6;
            };
            actions = [
              "pop_vlan"
              { output = "eth0"; }
            ];
          }
        ];
      }).openflow.bridges.br0.flows;
    expected = [
      {
        table = 0;
        priority = 32768;
        match = {
          eth_type = "ip";
          ip_proto = 6;
        };
        actions = [
          "pop_vlan"
          { output = "eth0"; }
        ];
      }
    ];
  };

  testATemplateHasTheKeysOfItsRecipe = {
    expr =
      (plugins {
        lxc.templates.debian-base = {
          recipe = "debian";
          packages = [ "openssh-server" ];
        };
      }).lxc.templates.debian-base;
    expected = {
      recipe = "debian";
      packages = [ "openssh-server" ];
      adopt = false;
    };
  };

  testWhatIsNotThereIsNotDeclared = {
    expr = builtins.attrNames (plugins { });
    expected = [ "btrfs" ];
  };

  testTheDefaultStateIsUnderTheOptions = {
    expr =
      (plugins {
        defaultState.plugins.btrfs = {
          base = "/elsewhere";
          subvolumes."@logs".compression = "lzo";
        };
      }).btrfs;
    expected = {
      base = "/var/lib/op-dbus";
      subvolumes = {
        "@logs".compression = "lzo";
        "@cache".compression = "zstd:3";
        "@timing".compression = "zstd:3";
        "@vectors".compression = "zstd:3";
      };
    };
  };

  testTheOptionsOfLaterPartsDeclareNothing = {
    expr = declaration {
      numa.enable = true;
      ledger.retention.hourly = 24;
    };
    expected = declaration { };
  };

  testTheCheckKnowsOwnMappings = {
    expr =
      map
        (
          settings:
          lib.hasInfix " --plugins "
            (hosts.workstation.extendModules {
              modules = [ { services.operation-dbus = settings; } ];
            }).config.services.operation-dbus.declarationFile.buildCommand
        )
        [
          { }
          { pluginDirectory = ../examples; }
        ];
    expected = [
      false
      true
    ];
  };
}
