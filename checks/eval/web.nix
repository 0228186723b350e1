# The web server: where it listens, who may speak there, and how little its process may.
{
  lib,
  evaluate,
  hosts,
  ...
}:
let
  host =
    operation-dbus:
    (hosts.workstation.extendModules {
      modules = [ { services = { inherit operation-dbus; }; } ];
    }).config;
  changed =
    mcp:
    host {
      mcp = {
        enable = true;
      }
      // mcp;
    };
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

  testOthersTakeTlsAndAnOpenPort =
    let
      both = changed {
        address = "0.0.0.0";
        port = 8443;
        openFirewall = true;
        tls = {
          certificateFile = "/var/lib/acme/host.example.org/fullchain.pem";
          keyFile = "/var/lib/acme/host.example.org/key.pem";
        };
      };
      outer = both.systemd.services.op-dbus-web;
    in
    {
      expr = {
        declared = removeAttrs both.services.operation-dbus.declaration.web [
          "hosts"
          "origins"
          "profile"
          "tokens"
        ];
        opened = lib.elem 8443 both.networking.firewall.allowedTCPPorts;
        credentials = outer.serviceConfig.LoadCredential;
        denied = outer.serviceConfig ? IPAddressDeny;
        waits = lib.elem "network-online.target" outer.after;
      };
      expected = {
        declared = {
          listen = "0.0.0.0:8443";
          # What systemd hands over, since the files may be root's alone.
          tls = {
            certificate = "/run/credentials/op-dbus-web.service/certificate";
            key = "/run/credentials/op-dbus-web.service/key";
          };
        };
        opened = true;
        credentials = [
          "certificate:/var/lib/acme/host.example.org/fullchain.pem"
          "key:/var/lib/acme/host.example.org/key.pem"
        ];
        denied = false;
        waits = true;
      };
    };

  testACertificateOfItsOwnTakesNoFiles = {
    expr =
      let
        own = changed {
          address = "::";
          tls.selfSigned = true;
        };
      in
      {
        inherit (own.services.operation-dbus.declaration.web) listen tls;
        handed = own.systemd.services.op-dbus-web.serviceConfig ? LoadCredential;
      };
    expected = {
      listen = "[::]:8080";
      tls.self_signed = true;
      handed = false;
    };
  };

  testAModelHereIsReachedWithoutANetwork =
    let
      asks =
        model:
        let
          inherit
            (host {
              mcp.enable = true;
              chat = { inherit model; };
            })
            services
            systemd
            ;
          inherit (systemd.services.op-dbus-web) serviceConfig;
        in
        {
          declared = services.operation-dbus.declaration.chat.model.url;
          denied = serviceConfig.IPAddressDeny or null;
          handed = serviceConfig.LoadCredential or [ ];
        };
    in
    {
      expr = [
        (asks {
          url = "http://localhost:11434/v1";
          name = "qwen3:8b";
        })
        (asks {
          url = "https://models.example.net/v1";
          name = "large";
          keyFile = "/run/secrets/model-key";
        })
      ];
      expected = [
        {
          declared = "http://localhost:11434/v1";
          denied = "any";
          handed = [ ];
        }
        {
          declared = "https://models.example.net/v1";
          denied = null;
          handed = [ "model-key:/run/secrets/model-key" ];
        }
      ];
    };

  testItHasItsOtherNameAndAPlaceForWhatWasSaid = {
    expr = {
      inherit (unit) aliases;
      inherit (unit.serviceConfig) StateDirectory StateDirectoryMode;
    };
    expected = {
      aliases = [ "mcp-chat.service" ];
      StateDirectory = "op-dbus-web";
      StateDirectoryMode = "0700";
    };
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
