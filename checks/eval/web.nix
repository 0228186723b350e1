# The web server: where it listens, who may speak there, and how little its process may.
{
  lib,
  evaluate,
  hosts,
  ...
}:
let
  changed =
    mcp:
    (hosts.workstation.extendModules {
      modules = [
        {
          services.operation-dbus.mcp = {
            enable = true;
          }
          // mcp;
        }
      ];
    }).config;
  web =
    mcp:
    (evaluate.declaration {
      mcp = {
        enable = true;
      }
      // mcp;
    }).web;
  on = changed { };
  unit = on.systemd.services.op-dbus-web;
in
{
  testThereIsNoneUnlessAsked = {
    expr = {
      unit = hosts.workstation.config.systemd.services ? op-dbus-web;
      declared = evaluate.declaration { } ? web;
    };
    expected = {
      unit = false;
      declared = false;
    };
  };

  testItListensOnLoopback = {
    expr = map (mcp: (web mcp).listen) [
      { }
      {
        address = "::1";
        port = 8443;
      }
    ];
    expected = [
      "127.0.0.1:8080"
      "[::1]:8443"
    ];
  };

  testTheFirewallStaysAsItIs = {
    expr = on.networking.firewall.allowedTCPPorts;
    expected = hosts.workstation.config.networking.firewall.allowedTCPPorts;
  };

  testTokensAreFilesAndScopes = {
    expr =
      (web {
        tokens.laptop = {
          file = "/etc/op-dbus/tokens/laptop";
          scopes = [ "mcp:read" ];
        };
      }).tokens.laptop;
    expected = {
      file = "/etc/op-dbus/tokens/laptop";
      scopes = [ "mcp:read" ];
    };
  };

  testItsUserHasNoRightsAndNoGroupButTheSocketS = {
    expr = {
      inherit (unit.serviceConfig)
        CapabilityBoundingSet
        NoNewPrivileges
        ProtectSystem
        SupplementaryGroups
        User
        ;
      groups = on.users.users.op-dbus-web.extraGroups;
      # The group gives a role to whoever is in it, and that is not the unit's own.
      member = lib.elem "op-dbus-web" on.users.groups.opdbus.members;
    };
    expected = {
      CapabilityBoundingSet = "";
      NoNewPrivileges = true;
      ProtectSystem = "strict";
      SupplementaryGroups = [ "opdbus" ];
      User = "op-dbus-web";
      groups = [ ];
      member = false;
    };
  };

  testItReadsWhatIsDeclaredAnew = {
    expr = unit.restartTriggers == [ on.services.operation-dbus.declarationFile ];
    expected = true;
  };
}
