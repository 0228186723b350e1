# Generations that differ in a container: a switch touches that one alone, and takes none away unasked.
{ self, lib, ... }:
let
  common = import ./host { inherit self lib; };

  container = number: {
    template = "busybox";
    address = "10.99.0.${toString number}/24";
    memory = "64MiB";
  };
in
{
  nodes.machine = {
    imports = [ common.host ];

    services.operation-dbus = {
      ovs.bridges.br0 = {
        fail_mode = "secure";
        addresses = [ "10.99.0.1/24" ];
      };
      openflow.bridges.br0 = { };

      lxc.templates.busybox.recipe = "busybox";
      lxc.containers = {
        web = container 11;
        db = container 12;
      };
    };

    system.switch.enable = true;
    specialisation.more.configuration.services.operation-dbus.lxc.containers.cache = container 13;
  };

  testScript = common.script + ''
    converged(machine)
    system = machine.succeed("readlink -f /run/current-system").strip()
    first = inits(machine, ["db", "web"])

    with subtest("A container more leaves the others alone"):
        machine.succeed(f"{system}/specialisation/more/bin/switch-to-configuration test")
        converged(machine)
        t.assertEqual(running(machine), ["cache", "db", "web"])
        t.assertEqual(inits(machine, first), first)
        reaches(machine, "cache", "10.99.0.11")
        run_in(machine, "cache", "touch /kept")

    with subtest("Going back does not take it away, and says so"):
        every = inits(machine, ["cache", "db", "web"])
        machine.fail(f"{system}/bin/switch-to-configuration test")
        t.assertIn("failed", machine.execute("systemctl is-failed op-dbus-apply")[1])
        t.assertIn("--allow-destroy", machine.succeed("journalctl --unit op-dbus-apply --output cat --lines 20"))
        t.assertEqual(inits(machine, every), every)
        run_in(machine, "cache", "test -e /kept")
        reaches(machine, "web", "10.99.0.12")

    with subtest("It goes when that is allowed"):
        machine.succeed("op-dbus --yes apply --allow-destroy </dev/null")
        machine.succeed("systemctl restart op-dbus-apply")
        converged(machine)
        t.assertEqual(running(machine), ["db", "web"])
        t.assertEqual(inits(machine, first), first)
  '';
}
