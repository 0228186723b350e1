# An empty machine starts from the network, is installed without being asked, and starts as the host.
{
  self,
  lib,
  pkgs,
}:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  inherit (self.nixosConfigurations) demo installer;
  qemu = pkgs.callPackage (pkgs.path + "/nixos/lib/qemu-common.nix") { };

  platform.nixpkgs.hostPlatform = lib.mkForce system;

  # The host, and the door by which the test comes in once it is installed.
  installed = demo.extendModules {
    modules = [
      platform
      (
        { modulesPath, ... }:
        {
          imports = [ (modulesPath + "/testing/test-instrumentation.nix") ];
        }
      )
    ];
  };

  netboot =
    (installer.extendModules {
      modules = [
        platform
        ../../images/netboot.nix
        {
          operation-dbus.installer.hosts = lib.mkForce {
            demo = {
              inherit (installed.config.system.build) toplevel diskoScript;
            };
          };
        }
      ];
    }).config.system.build.netboot;

  pxe-server = pkgs.callPackage ../../images/pxe-server/package.nix { inherit netboot; };

  mac = "52:54:00:12:34:56";

  # The firmware prefers the disk, on which there is nothing yet.
  machine = lib.concatStringsSep " " [
    (qemu.qemuBinary pkgs.qemu_test)
    "-m 3072"
    "-smp 2"
    "-drive if=pflash,format=raw,unit=0,readonly=on,file=${pkgs.OVMF.firmware}"
    "-drive if=pflash,format=raw,unit=1,readonly=on,file=${pkgs.OVMF.variables}"
    "-drive if=none,id=disk,format=qcow2,file=disk.qcow2"
    "-device nvme,drive=disk,serial=disk,bootindex=1"
    ''-netdev vde,id=net,sock=\"$QEMU_VDE_SOCKET_1\"''
    "-device virtio-net-pci,netdev=net,mac=${mac},romfile=,bootindex=2"
  ];
in
{
  nodes = {
    # The network has a DHCP server, which knows nothing of this.
    network = {
      networking = {
        useNetworkd = true;
        useDHCP = false;
        firewall.enable = false;
      };
      systemd.network.networks."40-eth1" = {
        networkConfig.DHCPServer = true;
        dhcpServerConfig = {
          PoolOffset = 100;
          PoolSize = 50;
          EmitDNS = false;
          EmitRouter = false;
        };
      };
    };

    server = {
      networking = {
        useNetworkd = true;
        useDHCP = false;
        firewall.interfaces.eth1 = {
          allowedUDPPorts = [
            67
            69
            4011
          ];
          allowedTCPPorts = [ 8081 ];
        };
      };
      systemd.services.pxe-server = {
        description = "Install a machine that starts from the network";
        serviceConfig.ExecStart = "${lib.getExe pxe-server} --interface eth1 --mac ${mac} --host demo --once";
      };
    };
  };

  testScript =
    { nodes, ... }:
    ''
      import subprocess

      target = create_machine("${machine}", name="target")
      subprocess.run(
          [
              "${pkgs.qemu_test}/bin/qemu-img",
              "create",
              "-f",
              "qcow2",
              str(target.state_dir / "disk.qcow2"),
              "16G",
          ],
          check=True,
      )

      network.start()
      server.start()
      network.wait_for_unit("systemd-networkd.service")
      network.wait_until_succeeds("networkctl status eth1 | grep configured")
      server.wait_for_unit("multi-user.target")
      server.wait_until_succeeds("ip -4 address show dev eth1 | grep inet")
      server.succeed("systemctl start pxe-server")
      server.wait_for_open_port(8081, "${nodes.server.networking.primaryIPAddress}")

      with subtest("The machine is installed and starts from its disk"):
          target.start(allow_reboot=True)
          target.wait_for_unit("multi-user.target", timeout=600)
          t.assertEqual(target.succeed("cat /proc/sys/kernel/hostname").strip(), "demo")
          t.assertIn("nvme", target.succeed("findmnt --noheadings --output SOURCE /"))
          t.assertEqual(target.succeed("findmnt --noheadings --output FSTYPE /").strip(), "btrfs")

      with subtest("It is in its declared state"):
          target.wait_for_unit("op-dbus-apply.service")
          target.succeed("op-dbus verify </dev/null")
          target.succeed("op-dbus container exec web-01 -- ping -c 1 -W 2 10.99.0.12 </dev/null")

      with subtest("It is the system that was served"):
          served = "${installed.config.system.build.toplevel}"
          t.assertEqual(target.succeed("readlink -f /run/current-system").strip(), served)
          t.assertIn(served, target.succeed("cat /var/lib/op-dbus/installed.json"))

      with subtest("The server ends when there is nothing left to install"):
          server.wait_until_fails("systemctl is-active pxe-server", timeout=60)
          server.fail("systemctl is-failed pxe-server")

      with subtest("It starts from its disk without the network"):
          target.shutdown()
          network.crash()
          target.start()
          target.wait_for_unit("op-dbus-apply.service")
    '';
}
