# What `nix flake check` checks: everything in these directories, found by name.
#
#   eval/      what the options do to the declaration and the units
#   refused/   configurations that must fail, each with its sentence
#   examples/  one configuration for each module, which must become a system with a good declaration
#   golden/    the declaration of each host as it was when somebody last looked
#   vm/        tests in virtual machines
{
  lib,
  self,
  pkgs,
}:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  evaluate = import ./evaluate.nix { inherit lib pkgs; };

  modulesIn =
    directory:
    lib.mapAttrs'
      (file: _: lib.nameValuePair (lib.removeSuffix ".nix" file) (import (directory + "/${file}")))
      (
        lib.filterAttrs (file: type: type == "regular" && lib.hasSuffix ".nix" file) (
          builtins.readDir directory
        )
      );

  all =
    kind: check: found:
    lib.mapAttrs' (name: one: lib.nameValuePair "${kind}-${name}" (check name one)) found;

  # Passes when it can be evaluated: what is wrong is a list of sentences.
  verdict =
    name: problems:
    if problems == [ ] then
      pkgs.runCommand name { } "touch $out"
    else
      throw "${name}:\n${lib.concatStringsSep "\n" problems}";

  evalTests =
    name: tests:
    verdict "eval-${name}" (
      map
        (
          failure:
          "${failure.name}: expected ${builtins.toJSON failure.expected}, got ${builtins.toJSON failure.result}"
        )
        (
          lib.runTests (tests {
            inherit lib evaluate;
            hosts = self.nixosConfigurations;
          })
        )
    );

  # A type's own message cannot be read here; that it fails can.
  refused =
    name: one:
    let
      problems = evaluate.problems one.config;
      attempt = builtins.tryEval (lib.deepSeq problems problems);
    in
    verdict "refused-${name}" (
      if one.byType or false then
        lib.optional attempt.success "it was accepted"
      else if !attempt.success then
        [ "it failed otherwise than with a sentence" ]
      else
        lib.optional (!lib.any (lib.hasInfix one.message) problems) ''
          no sentence says "${one.message}", but:
          ${lib.concatStringsSep "\n" problems}
        ''
    );

  exampleHost =
    module:
    lib.nixosSystem {
      modules = [
        self.nixosModules.default
        {
          nixpkgs.hostPlatform = system;
          networking.hostName = "example";
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "/dev/disk/by-label/example";
            fsType = "btrfs";
          };
          # Makes the text of all options well-formed too.
          documentation.nixos.includeAllModules = true;
          system.stateVersion = "26.05";
        }
        module
      ];
    };

  golden =
    name: host:
    let
      file = ./golden + "/${name}.json";
      known = if builtins.pathExists file then lib.importJSON file else null;
      # As it is written, without what the evaluator knows besides.
      declaration = builtins.fromJSON (
        builtins.unsafeDiscardStringContext (
          builtins.toJSON host.config.services.operation-dbus.declaration
        )
      );
    in
    verdict "golden-${name}" (
      lib.optional (known != declaration)
        "the declaration of ${name} is not checks/golden/${name}.json: look at the difference, then run `scripts/nixos.sh golden`"
    );

  declared = lib.filterAttrs (
    _: host: host.config.services.operation-dbus.enable
  ) self.nixosConfigurations;

  # No host serves HTTP.
  webExamples = [
    (import ./examples/web.nix)
    (import ./examples/upstreams.nix)
  ];

  source = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.fileFilter (file: file.hasExt "nix") ../.;
  };
in
all "eval" evalTests (modulesIn ./eval)
// all "refused" refused (modulesIn ./refused)
// all "example" (_: module: (exampleHost module).config.system.build.toplevel) (
  modulesIn ./examples
)
// all "golden" golden declared
// all "host" (_: host: host.config.system.build.toplevel) (
  lib.filterAttrs (_: host: host.pkgs.stdenv.hostPlatform.system == system) self.nixosConfigurations
)
// all "vm" (
  name: test:
  pkgs.testers.runNixOSTest {
    imports = [ (test { inherit lib pkgs self; }) ];
    inherit name;
    globalTimeout = 900;
  }
) (modulesIn ./vm)
// all "agent" (_: test: test) pkgs.op-dbus.tests
// {
  agent = pkgs.op-dbus;

  format = pkgs.runCommand "format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    find ${source} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';

  dead-code = pkgs.runCommand "dead-code" { nativeBuildInputs = [ pkgs.deadnix ]; } ''
    deadnix --fail ${source}
    touch $out
  '';

  docs = verdict "docs" (
    lib.optional (
      builtins.readFile ../docs/reference/options.md != import ../docs/options.nix { inherit lib pkgs; }
    ) "docs/reference/options.md is old: run `scripts/nixos.sh options`"
  );

  lock = verdict "lock" (import ./lock.nix);

  units = import ./units.nix {
    inherit lib pkgs;
    units = lib.concatMap (
      host:
      map (name: host.config.systemd.units.${name}.unit + "/${name}") (
        lib.filter (name: lib.hasPrefix "op-dbus" name && lib.hasSuffix ".service" name) (
          lib.attrNames host.config.systemd.units
        )
      )
    ) (lib.attrValues declared ++ map exampleHost webExamples);
  };
}
