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
          docs = pkgs.callPackage ./docs/options.nix { };
        }
        // images.packages system
      );

      apps = eachSystem (system: import ./apps.nix { inherit lib images self; pkgs = pkgsFor.${system}; });

      checks = eachSystem (
        system:
        import ./checks {
          inherit lib self;
          pkgs = pkgsFor.${system};
        }
      );

      devShells = eachSystem (system: {
        default = import ./devshell.nix { pkgs = pkgsFor.${system}; };
      });

      formatter = eachSystem (system: pkgsFor.${system}.nixfmt-tree or pkgsFor.${system}.nixfmt-rfc-style);
    };
}
