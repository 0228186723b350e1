# What the options become in NixOS.
{ lib, hosts, ... }:
let
  demo = hosts.demo.config;
  changed = module: (hosts.demo.extendModules { modules = [ module ]; }).config;
  apply = config: config.systemd.services.op-dbus-apply;
in
{
  testTheDeclarationIsAppliedUnderAWindow = {
    expr = lib.hasInfix ''"apply" "--wait"'' (apply demo).serviceConfig.ExecStart;
    expected = true;
  };

  testTheWindowMayBeLonger = {
    expr =
      lib.hasSuffix ''"--confirm" "5m"''
        (apply (changed {
          services.operation-dbus.confirmWindow = "5m";
        })).serviceConfig.ExecStart;
    expected = true;
  };

  testItRunsAfterTheSwitch = {
    expr = lib.elem "ovs-vswitchd.service" (apply demo).after;
    expected = true;
  };

  testEachSwitchAppliesAgain = {
    expr = lib.hasInfix "op-dbus-apply.service" (
      builtins.toJSON demo.system.activationScripts.op-dbus-apply
    );
    expected = true;
  };

  testASwitchLeavesContainersAlone = {
    expr = demo.systemd.services."op-dbus-container@".restartIfChanged;
    expected = false;
  };

  testNothingStartsForProgramsThatAreNotThere = {
    expr = lib.filter (lib.hasPrefix "op-dbus") (
      lib.attrNames
        (changed {
          services.operation-dbus.ml = {
            enable = true;
            model = "/srv/model";
          };
        }).systemd.services
    );
    expected = [
      "op-dbus-apply"
      "op-dbus-container@"
      "op-dbusd"
    ];
  };

  testTheAgentStaysOnItsNode = {
    expr =
      lib.getAttrs
        [
          "CPUAffinity"
          "NUMAMask"
          "NUMAPolicy"
        ]
        (apply (changed {
          services.operation-dbus.numa = {
            enable = true;
            node = 1;
            cpuList = "8-15";
          };
        })).serviceConfig;
    expected = {
      CPUAffinity = "8-15";
      NUMAMask = "1";
      NUMAPolicy = "preferred";
    };
  };

  testSecretsAreCredentials = {
    expr =
      let
        unit = apply (changed {
          services.operation-dbus.secrets = {
            after = [ "opnix-secrets.service" ];
            credentials = {
              plain.file = "/run/secrets/plain";
              sealed = {
                file = "/etc/sealed.cred";
                encrypted = true;
              };
            };
          };
        });
      in
      {
        inherit (unit.serviceConfig) LoadCredential LoadCredentialEncrypted;
        ordered = lib.elem "opnix-secrets.service" unit.after;
      };
    expected = {
      LoadCredential = [ "plain:/run/secrets/plain" ];
      LoadCredentialEncrypted = [ "sealed:/etc/sealed.cred" ];
      ordered = true;
    };
  };

  testAnUplinkHasNoAddressOfItsOwn = {
    expr = hosts.proxmox-host.config.systemd.network.networks."20-op-dbus-uplink-eth0".networkConfig;
    expected.LinkLocalAddressing = "no";
  };

  testNetworkdIsToldWhenTheChangeIsKept = {
    expr = {
      early = hosts.proxmox-host.config.systemd.services.systemd-networkd.reloadTriggers;
      late = lib.hasSuffix "/networkctl reload" (apply hosts.proxmox-host.config)
      .serviceConfig.ExecStartPost;
    };
    expected = {
      early = [ ];
      late = true;
    };
  };

  testTheDeploymentIsMarked = {
    expr = demo.environment.etc."opdbus/deployment-type".text;
    expected = "nixos\n";
  };

  testTheChainOpensItsDoorAlone = {
    expr = hosts.privacy-router.config.networking.firewall.allowedUDPPorts;
    expected = [ 51820 ];
  };

  testEachHopLeavesByTheNextOne = {
    expr = lib.mapAttrs (
      _: container: (lib.head (lib.attrValues container.config.systemd.network.networks)).routes
    ) { inherit (hosts.privacy-router.config.containers) privacy-wg; };
    expected.privacy-wg = [
      { Gateway = "10.90.0.11"; }
      {
        Gateway = "10.90.0.1";
        Table = 100;
      }
    ];
  };
}
