{
  description = "Infrastructure hosts that keep themselves in their declared state";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Partitions the disk of a host that is installed.
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      disko,
    }:
    let
      inherit (nixpkgs) lib;
      eachSystem = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      pkgsFor = eachSystem (system: nixpkgs.legacyPackages.${system}.extend self.overlays.default);
      images = import ./images { inherit lib self; };
    in
    {
      overlays.default = final: _: { op-dbus = final.callPackage ./agent/package.nix { }; };

      nixosModules = import ./modules/exposed.nix { inherit lib self; };

      nixosConfigurations = import ./hosts { inherit lib self disko; };

      packages = eachSystem (
        system:
        let
          pkgs = pkgsFor.${system};
        in
        {
          default = pkgs.op-dbus;
          inherit (pkgs) op-dbus;
          docs = pkgs.writeText "options.md" (import ./docs/options.nix { inherit lib pkgs; });
        }
        // images.packages system
      );

      apps = eachSystem (
        system:
        let
          pkgs = pkgsFor.${system};
          app = package: description: {
            type = "app";
            program = lib.getExe package;
            meta = { inherit description; };
          };
        in
        {
          demo = app (pkgs.callPackage ./demo/package.nix { }) "Shows operation-dbus at work, in a sandbox";
          pxe-server = app (pkgs.callPackage ./images/pxe-server/package.nix {
            inherit (self.packages.${system}) netboot;
          }) "Installs hosts that boot from the network";
        }
      );

      checks = eachSystem (
        system:
        import ./checks {
          inherit lib self;
          pkgs = pkgsFor.${system};
        }
      );

      devShells = eachSystem (
        system:
        let
          pkgs = pkgsFor.${system};
        in
        {
          default = pkgs.mkShell {
            inputsFrom = [ pkgs.op-dbus ];
            packages = [
              pkgs.btrfs-progs
              pkgs.cargo-nextest
              pkgs.clippy
              pkgs.deadnix
              pkgs.jq
              pkgs.lxc
              pkgs.nixfmt
              pkgs.openvswitch
              pkgs.rustfmt
              pkgs.shellcheck
              pkgs.strace
            ];
          };
        }
      );

      formatter = eachSystem (system: pkgsFor.${system}.nixfmt);
    };
}
