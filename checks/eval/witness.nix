# The witness: whose ledgers it knows, where it listens, and how little its process may.
{
  evaluate,
  hosts,
  ...
}:
let
  origin = "cellar.example.org/ledger+1b112fb5+AayshsDmCcqQb2MrDi2szLK3fSKwYh8g6+zhpINbk/bw";
  with_ =
    witness:
    (hosts.workstation.extendModules {
      modules = [
        {
          services.operation-dbus.ledger.witness = {
            origins = [ origin ];
          }
          // witness;
        }
      ];
    }).config;
  unit = witness: (with_ witness).systemd.services.op-dbus-witness;
in
{
  testThereIsNoneUnlessAsked = {
    expr = {
      unit = hosts.workstation.config.systemd.services ? op-dbus-witness;
      declared = evaluate.declaration { } ? ledger;
    };
    expected = {
      unit = false;
      declared = false;
    };
  };

  testItsLedgersAreDeclared = {
    expr = (evaluate.declaration { ledger.witness.origins = [ origin ]; }).ledger;
    expected.witness = {
      listen = "127.0.0.1:8181";
      origins = [ origin ];
    };
  };

  testItsUserHasNoRights = {
    expr = {
      inherit ((unit { }).serviceConfig)
        CapabilityBoundingSet
        NoNewPrivileges
        ProtectSystem
        StateDirectory
        User
        ;
      groups = (with_ { }).users.users.op-dbus-witness.extraGroups;
    };
    expected = {
      CapabilityBoundingSet = "";
      NoNewPrivileges = true;
      ProtectSystem = "strict";
      StateDirectory = "op-dbus-witness";
      User = "op-dbus-witness";
      groups = [ ];
    };
  };

  testItTalksToThisHostUnlessItListensElsewhere = {
    expr = map (listen: (unit { inherit listen; }).serviceConfig.IPAddressAllow == "localhost") [
      "127.0.0.1:8181"
      "[::1]:8181"
      "10.0.0.2:8181"
    ];
    expected = [
      true
      true
      false
    ];
  };

  testTheFirewallStaysAsItIs = {
    expr = (with_ { listen = "10.0.0.2:8181"; }).networking.firewall.allowedTCPPorts;
    expected = hosts.workstation.config.networking.firewall.allowedTCPPorts;
  };
}
