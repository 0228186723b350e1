# Other MCP servers: what is declared, and what the web server's unit may do for them.
{
  lib,
  evaluate,
  hosts,
  ...
}:
let
  mcp = upstreams: (evaluate.declaration { mcp = { inherit upstreams; }; }).mcp or null;
  host =
    upstreams:
    (hosts.workstation.extendModules {
      modules = [
        {
          services.operation-dbus = {
            secrets.after = [ "host-secrets.service" ];
            mcp = {
              enable = true;
              inherit upstreams;
            };
          };
        }
      ];
    }).config;
  unit = upstreams: (host upstreams).systemd.services.op-dbus-web;
  limits =
    upstreams:
    lib.mapAttrs (name: default: (unit upstreams).serviceConfig.${name} or default) {
      IPAddressDeny = "";
      MemoryDenyWriteExecute = false;
      MemoryMax = "";
      SystemCallErrorNumber = "";
      TasksMax = 0;
    };
  alone = {
    IPAddressDeny = "any";
    MemoryDenyWriteExecute = true;
    MemoryMax = "256M";
    SystemCallErrorNumber = "";
    TasksMax = 64;
  };

  program.command = [ "/run/current-system/sw/bin/true" ];
  elsewhere.url = "https://tools.example.net/mcp";
in
{
  testNoneIsDeclaredUnlessAsked = {
    expr = mcp { };
    expected = null;
  };

  testAProgramHasNoKeysOfAnAddress = {
    expr = mcp {
      files = program // {
        environment.API_TOKEN.file = "/run/secrets/files-token";
        effect."read_*" = "read";
      };
    };
    expected.upstreams.files = program // {
      environment.API_TOKEN.file = "/run/secrets/files-token";
      include = [ ];
      exclude = [ ];
      timeout = 60;
      effect."read_*" = "read";
      role = "viewer";
    };
  };

  testAnAddressHasNoKeysOfAProgram = {
    expr = lib.attrNames (mcp { weather = elsewhere; }).upstreams.weather;
    expected = [
      "effect"
      "exclude"
      "include"
      "role"
      "timeout"
      "url"
    ];
  };

  # `op-dbus mcp` joins them too.
  testTheyAreDeclaredWithoutAWebServer = {
    expr = lib.attrNames (evaluate.declaration { mcp.upstreams.weather = elsewhere; });
    expected = [
      "access"
      "mcp"
      "plugins"
      "reconcile"
      "version"
    ];
  };

  testTheUnitIsAsTightAsWithoutThem = {
    expr = map limits [
      { }
      { beside.url = "http://127.0.0.1:3000/mcp"; }
      { beside.url = "http://[::1]:3000/mcp"; }
    ];
    expected = [
      alone
      alone
      alone
    ];
  };

  testAServerElsewhereCanBeReached = {
    expr = map limits [
      { weather = elsewhere; }
      { weather.url = "http://127.0.0.1.example.net/mcp"; }
    ];
    expected = lib.replicate 2 (alone // { IPAddressDeny = ""; });
  };

  testAProgramMayBeAnyProgram = {
    expr = limits { files = program; };
    expected = {
      IPAddressDeny = "";
      MemoryDenyWriteExecute = false;
      MemoryMax = "1G";
      SystemCallErrorNumber = "EPERM";
      TasksMax = 512;
    };
  };

  testAProgramGetsNoRights = {
    expr = lib.getAttrs [
      "CapabilityBoundingSet"
      "NoNewPrivileges"
      "ProtectHome"
      "ProtectSystem"
      "SystemCallFilter"
      "User"
    ] (unit { files = program; }).serviceConfig;
    expected = {
      CapabilityBoundingSet = "";
      NoNewPrivileges = true;
      ProtectHome = true;
      ProtectSystem = "strict";
      SystemCallFilter = [
        "@system-service"
        "~@privileged"
        "~@resources"
      ];
      User = "op-dbus-web";
    };
  };

  testTheUnitWaitsForTheirSecrets = {
    expr = map (upstreams: lib.elem "host-secrets.service" (unit upstreams).after) [
      { weather = elsewhere; }
      {
        weather = elsewhere // {
          token_file = "/run/secrets/weather-token";
        };
      }
      {
        files = program // {
          environment.API_TOKEN.file = "/run/secrets/files-token";
        };
      }
    ];
    expected = [
      false
      true
      true
    ];
  };
}
