{
  lib,
  rustPlatform,
  clippy,
  installShellFiles,
}:
let
  manifest = (lib.importTOML ./Cargo.toml).workspace.package;

  # What the bus and polkit read, the same on Debian.
  policies = lib.fileset.toSource {
    root = ../images/debian;
    fileset = lib.fileset.fileFilter (file: lib.hasPrefix "org." file.name) ../images/debian;
  };

  package = rustPlatform.buildRustPackage {
    pname = "op-dbus";
    inherit (manifest) version;

    # Only what the program is made of, so that a change of the book does not build it again.
    src = lib.fileset.toSource {
      root = ./.;
      fileset = lib.fileset.unions [
        ./Cargo.toml
        ./Cargo.lock
        ./clippy.toml
        ./rustfmt.toml
        (lib.fileset.fileFilter (file: !file.hasExt "md") ./crates)
      ];
    };
    cargoLock.lockFile = ./Cargo.lock;

    cargoBuildFlags = [
      "--package"
      "op-dbus"
    ];

    nativeBuildInputs = [ installShellFiles ];

    # They are `passthru.tests`, so that a host does not wait for them.
    doCheck = false;

    postInstall = ''
      ln -s op-dbus "$out/bin/dbus-mcp-bridge"

      "$out/bin/op-dbus" man >op-dbus.1
      installManPage op-dbus.1
      installShellCompletion --cmd op-dbus \
        --bash <("$out/bin/op-dbus" completions bash) \
        --fish <("$out/bin/op-dbus" completions fish) \
        --zsh <("$out/bin/op-dbus" completions zsh)

      share=$out/share
      install -D --mode=0644 --target-directory="$share/dbus-1/system.d" ${policies}/*.conf
      install -D --mode=0644 --target-directory="$share/dbus-1/system-services" ${policies}/*.service
      install -D --mode=0644 --target-directory="$share/polkit-1/actions" ${policies}/*.policy
    '';

    meta = {
      description = "Keeps an infrastructure host in its declared state";
      license = [
        lib.licenses.mit
        lib.licenses.asl20
      ];
      mainProgram = "op-dbus";
      platforms = lib.platforms.linux;
    };
  };
in
package.overrideAttrs (old: {
  passthru = (old.passthru or { }) // {
    tests = {
      # The unit tests, which need no root and no file outside of the source; `make test` runs all.
      unit = package.overrideAttrs {
        pname = "op-dbus-unit-tests";
        doCheck = true;
        cargoTestFlags = [
          "--workspace"
          "--lib"
          "--bins"
        ];
      };
      clippy = package.overrideAttrs (old: {
        pname = "op-dbus-clippy";
        nativeBuildInputs = old.nativeBuildInputs ++ [ clippy ];
        buildPhase = "cargo clippy --workspace --all-targets --offline -- --deny warnings";
        doCheck = false;
        installPhase = "touch $out";
        postInstall = "";
      });
    };
  };
})
