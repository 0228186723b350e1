# The installer for machines that start from the network. The firmware loads a kernel and a small initrd;
# the initrd fetches the Nix store over HTTP, as firmware often cannot load an initrd that holds it. The
# systems that can be installed are a binary cache, from which they go straight to the disk, so that the
# memory needed does not grow with their number and size.
{
  config,
  lib,
  modulesPath,
  pkgs,
  utils,
  ...
}:
let
  cfg = config.operation-dbus.installer;
  inherit (config.system) build;
  kernelFile = config.system.boot.loader.kernelFile;

  # In stage 1 and 2 alike: /run is kept.
  directory = "/run/netboot";
  storeFile = "${directory}/store.squashfs";
  storeMount = "${utils.escapeSystemdPath "/sysroot/nix/.ro-store"}.mount";

  store = pkgs.callPackage (modulesPath + "/../lib/make-squashfs.nix") {
    storeContents = [ build.toplevel ];
    comp = "zstd -Xcompression-level 12";
  };

  systems = map (host: host.toplevel) (lib.attrValues cfg.hosts);
  cache =
    pkgs.runCommand "netboot-cache"
      {
        nativeBuildInputs = [ config.nix.package ];
        inherit systems;
        registration = "${pkgs.closureInfo { rootPaths = systems; }}/registration";
      }
      ''
        export HOME=$TMPDIR NIX_STATE_DIR=$TMPDIR/state
        mkdir $out
        nix-store --load-db <$registration
        nix --extra-experimental-features nix-command copy --no-check-sigs \
          --to "file://$out?compression=zstd&parallel-compression=true" $systems
      '';

  script = pkgs.writeText "netboot.ipxe" ''
    #!ipxe
    isset ''${base} || goto nobase
    kernel ''${base}/${kernelFile} initrd=initrd init=${build.toplevel}/init op-dbus.store=''${base}/store.squashfs op-dbus.store-sha256=@sha256@ op-dbus.cache=''${base}/cache ${toString config.boot.kernelParams} ''${cmdline}
    initrd ''${base}/initrd
    boot
    :nobase
    echo Set base to the URL of the directory of this script before it is chained.
    exit 1
  '';
in
{
  operation-dbus.installer.carry = false;

  fileSystems = {
    "/" = lib.mkImageMediaOverride {
      fsType = "tmpfs";
      options = [ "mode=0755" ];
    };
    "/nix/.ro-store" = lib.mkImageMediaOverride {
      fsType = "squashfs";
      device = storeFile;
      options = [
        "loop"
        "ro"
      ];
      neededForBoot = true;
    };
    "/nix/.rw-store" = lib.mkImageMediaOverride {
      fsType = "tmpfs";
      options = [ "mode=0755" ];
      neededForBoot = true;
    };
    "/nix/store" = lib.mkImageMediaOverride {
      overlay = {
        lowerdir = [ "/nix/.ro-store" ];
        upperdir = "/nix/.rw-store/store";
        workdir = "/nix/.rw-store/work";
      };
      neededForBoot = true;
    };
  };

  boot.initrd = {
    kernelModules = [
      "loop"
      "overlay"
      "squashfs"
    ];
    # The network cards of servers and of virtual machines; the ISO gets by without them in stage 1.
    availableKernelModules = [
      "8139cp"
      "8139too"
      "atlantic"
      "be2net"
      "bnx2"
      "bnx2x"
      "bnxt_en"
      "cxgb4"
      "e1000"
      "e1000e"
      "ena"
      "hv_netvsc"
      "i40e"
      "ice"
      "igb"
      "igc"
      "ixgbe"
      "mlx4_en"
      "mlx5_core"
      "qede"
      "r8152"
      "r8169"
      "sfc"
      "tg3"
      "virtio_net"
      "vmxnet3"
    ];
    systemd = {
      network = {
        enable = true;
        wait-online.anyInterface = true;
        networks."10-netboot" = {
          matchConfig.Type = "ether";
          networkConfig.DHCP = "ipv4";
        };
      };
      extraBin.curl = lib.getExe pkgs.curl;
      services.op-dbus-fetch-store = {
        description = "Fetch the Nix store over HTTP";
        requiredBy = [ storeMount ];
        before = [ storeMount ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        unitConfig.DefaultDependencies = false;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          StandardOutput = "journal+console";
          StandardError = "journal+console";
        };
        script = ''
          store=
          sha256=
          read -r -a words </proc/cmdline
          for word in "''${words[@]}"; do
            case $word in
              op-dbus.store=*) store=''${word#*=} ;;
              op-dbus.store-sha256=*) sha256=''${word#*=} ;;
            esac
          done
          if [ -z "$store" ] || [ -z "$sha256" ]; then
            echo "The kernel command line lacks op-dbus.store= or op-dbus.store-sha256=:" \
              "start this image with its netboot.ipxe."
            exit 1
          fi
          mkdir -p ${directory}
          # /run itself is too small for it.
          mount -t tmpfs -o size=80%,mode=0755 netboot ${directory}
          echo "Fetching $store"
          curl --fail --silent --show-error --retry 10 --retry-delay 2 --retry-all-errors \
            --output ${storeFile} "$store"
          if ! echo "$sha256  ${storeFile}" | sha256sum --check --status; then
            echo "$store is not the one of this kernel: serve the files of one build together."
            exit 1
          fi
        '';
      };
    };
  };

  systemd.services.register-netboot-store = {
    description = "Tell the Nix database what is in the store";
    wantedBy = [ "multi-user.target" ];
    before = [
      "nix-daemon.service"
      "op-dbus-install.service"
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = ''
      ${lib.getExe' config.nix.package "nix-store"} --load-db </nix/store/nix-path-registration
    '';
  };

  system.build.netboot = pkgs.runCommand "netboot" { } ''
    mkdir $out
    ln -s ${build.kernel}/${kernelFile} $out/${kernelFile}
    ln -s ${build.initialRamdisk}/${config.system.boot.loader.initrdFile} $out/initrd
    ln -s ${store} $out/store.squashfs
    ln -s ${cache} $out/cache
    sha256=$(sha256sum ${store} | cut -d ' ' -f 1)
    substitute ${script} $out/netboot.ipxe --subst-var sha256
  '';
}
