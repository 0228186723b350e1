# The modules of operation-dbus without the rest of NixOS: fast, for tests that want their assertions and their
# declaration. What they set elsewhere is taken and not looked at.
{ lib, pkgs }:
let
  inherit (lib) mkOption types;

  anything = mkOption {
    type = types.submodule { freeformType = types.lazyAttrsOf types.raw; };
    default = { };
  };
  flag = mkOption {
    type = types.bool;
    default = false;
  };

  rest = {
    options = {
      assertions = mkOption { type = types.listOf types.raw; };
      warnings = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      networking = mkOption {
        default = { };
        type = types.submodule {
          freeformType = types.lazyAttrsOf types.raw;
          options = {
            useNetworkd = flag;
            nftables = mkOption {
              default = { };
              type = types.submodule {
                freeformType = types.lazyAttrsOf types.raw;
                options.enable = flag;
              };
            };
            vswitches = mkOption {
              type = types.attrsOf types.raw;
              default = { };
            };
          };
        };
      };
      users.groups = anything;
      users.users = mkOption {
        default = { };
        type = types.attrsOf (
          types.submodule {
            freeformType = types.lazyAttrsOf types.raw;
            options = {
              isNormalUser = flag;
              isSystemUser = flag;
            };
          }
        );
      };
      boot = anything;
      fileSystems = mkOption {
        type = types.attrsOf types.raw;
        default = { };
      };
      containers = anything;
      environment = anything;
      security = anything;
      services.dbus = anything;
      system = anything;
      systemd = anything;
      virtualisation = anything;
      services.netclient = anything;
    };
  };

  evaluate =
    operation-dbus: others:
    (lib.evalModules {
      modules = [
        ../modules
        rest
        {
          _module.args = {
            inherit pkgs;
            utils = { };
          };
          services.operation-dbus = {
            enable = true;
          }
          // operation-dbus;
        }
        others
      ];
    }).config;

  failed = config: map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
in
{
  # The declaration that follows from options below services.operation-dbus.
  declaration = operation-dbus: (evaluate operation-dbus { }).services.operation-dbus.declaration;

  # The declaration of a whole module, as far as it needs nothing else of NixOS.
  example = module: (evaluate { } module).services.operation-dbus.declaration;

  # Why a configuration is refused. It has options below services.operation-dbus, and others below `nixos`.
  problems =
    config:
    let
      evaluated = evaluate (removeAttrs config [ "nixos" ]) (config.nixos or { });
    in
    # Every value has to be of its type, also where nothing reads it yet.
    lib.deepSeq (removeAttrs evaluated.services.operation-dbus [
      "declarationFile"
      "package"
    ]) (failed evaluated);
}
