# What fails half way, and what nobody confirms, leaves the host as it was.
{
  self,
  lib,
  pkgs,
}:
let
  common = import ./host { inherit self lib; };
in
{
  nodes.machine = {
    imports = [ common.host ];

    environment.systemPackages = [ pkgs.jq ];

    # The management path: nobody is there, but the route is.
    networking.defaultGateway = {
      address = "192.168.1.254";
      interface = "eth1";
    };

    services.operation-dbus = {
      ovs.bridges.br0 = {
        fail_mode = "secure";
        addresses = [ "10.99.0.1/24" ];
      };
      openflow.bridges.br0 = { };

      lxc.templates.busybox.recipe = "busybox";
      lxc.containers.web = {
        template = "busybox";
        bridge = "br0";
        address = "10.99.0.11/24";
        memory = "64MiB";
      };
    };

    system.switch.enable = true;
    specialisation = {
      # A bridge that works, a template that does not.
      broken.configuration.services.operation-dbus = {
        ovs.bridges.br1 = { };
        lxc = {
          templates.gone = {
            recipe = "tarball";
            path = "/nowhere.tar";
            sha256 = lib.concatStrings (lib.genList (_: "0") 64);
          };
          containers.late = {
            template = "gone";
            network = "none";
          };
        };
      };

      window.configuration.services.operation-dbus = {
        confirmWindow = "5s";
        ovs.bridges.br0.ports.vlan20.tag = 20;
      };
    };
  };

  testScript =
    { nodes, ... }:
    let
      address = nodes.machine.networking.primaryIPAddress;
    in
    common.script
    + ''
      def state():
          agent = ask(machine, "query")
          # How many units have failed, and the like, is systemd's own.
          agent["plugins"].pop("systemd1", None)
          return {
              "agent": agent,
              "bridges": machine.succeed("ovs-vsctl list-br"),
              "ports": machine.succeed("ovs-vsctl list-ports br0"),
              "subvolumes": machine.succeed(
                  "btrfs subvolume list /var/lib/op-dbus | sed 's/.* path //' | sort"
              ),
              "inits": inits(machine, ["web"]),
          }


      def has_its_uplink():
          machine.wait_until_succeeds("ip address show dev eth1 | grep --fixed-strings ${address}/24", timeout=30)
          machine.wait_until_succeeds("ip route show default | grep --word-regexp eth1", timeout=30)


      converged(machine)
      has_its_uplink()
      system = machine.succeed("readlink -f /run/current-system").strip()
      before = state()

      with subtest("A declaration that fails half way changes nothing"):
          machine.fail(f"{system}/specialisation/broken/bin/switch-to-configuration test")
          t.assertIn("failed", machine.execute("systemctl is-failed op-dbus-apply")[1])
          t.assertEqual(state(), before)
          has_its_uplink()

      with subtest("The way back is free"):
          machine.succeed(f"{system}/bin/switch-to-configuration test")
          converged(machine)
          t.assertEqual(state(), before)

      with subtest("A switch that nobody confirms is undone"):
          machine.fail(f"{system}/specialisation/window/bin/switch-to-configuration test")
          t.assertIn("failed", machine.execute("systemctl is-failed op-dbus-apply")[1])
          t.assertEqual(state(), before)

      with subtest("One that somebody confirms stays"):
          machine.succeed(f"systemd-run --unit=switch {system}/specialisation/window/bin/switch-to-configuration test")
          machine.wait_until_succeeds("op-dbus confirm </dev/null", timeout=60)
          machine.wait_until_fails("systemctl is-active switch", timeout=60)
          converged(machine)
          t.assertIn("vlan20", machine.succeed("ovs-vsctl list-ports br0"))

      with subtest("The card that carries the default route comes back"):
          change = ".plugins.ovs.bridges.wan0.uplinks = [\"eth1\"]"
          machine.succeed(f"jq '{change}' /etc/op-dbus/state.json >/tmp/uplink.json")
          before = state()
          status, output = machine.execute(
              "op-dbus --json --file /tmp/uplink.json --yes apply --confirm 5s --wait </dev/null"
          )
          t.assertEqual(status, 1)
          t.assertEqual(json.loads(output)["outcome"], "rolled-back")
          t.assertEqual(state(), before)
          has_its_uplink()
          machine.succeed("op-dbus ledger verify </dev/null")
    '';
}
