# One host with three containers: it comes to its declared state by itself, and again after whatever happens to it.
{ self, lib, ... }:
let
  common = import ./host { inherit self lib; };
in
{
  nodes.machine = {
    imports = [ common.host ];

    services.operation-dbus = {
      ovs.bridges.br0 = {
        datapath = "system";
        fail_mode = "secure";
        addresses = [ "10.99.0.1/24" ];
      };
      openflow.bridges.br0 = { };

      lxc.templates.busybox.recipe = "busybox";
      lxc.containers = {
        web = {
          template = "busybox";
          address = "10.99.0.11/24";
          gateway = "10.99.0.1";
          memory = "64MiB";
          after = [ "db" ];
        };
        db = {
          template = "busybox";
          address = "10.99.0.12/24";
          memory = "64MiB";
        };
        batch = {
          template = "busybox";
          network = "none";
          memory = "64MiB";
        };
      };
    };
  };

  testScript = common.script + ''
    everything = ["batch", "db", "web"]

    with subtest("The host comes to its declared state when it starts"):
        converged(machine)
        t.assertEqual(running(machine), everything)
        machine.succeed("ovs-dpctl show | grep --word-regexp br0")

    with subtest("A second apply has nothing to do"):
        t.assertEqual(ask(machine, "--yes apply")["outcome"], "unchanged")

    with subtest("Containers reach each other and the host"):
        reaches(machine, "web", "10.99.0.12")
        reaches(machine, "db", "10.99.0.11")
        reaches(machine, "web", "10.99.0.1")

    with subtest("What somebody changes by hand is found and mended"):
        machine.succeed("ovs-ofctl --protocols=OpenFlow13 del-flows br0")
        machine.fail("op-dbus verify </dev/null")
        machine.succeed("systemctl restart op-dbus-apply")
        machine.succeed("op-dbus verify </dev/null")
        reaches(machine, "web", "10.99.0.12")

    with subtest("The ledger is whole"):
        ledger = ask(machine, "ledger verify")
        assert ledger["valid"] and ledger["entries"] > 0
        head = ledger["head"]["hash"]

    with subtest("The unit is no more exposed than it has to be"):
        machine.succeed("systemd-analyze security --threshold=75 op-dbus-apply.service")

    with subtest("After a reboot it is the same host"):
        machine.shutdown()
        machine.start()
        converged(machine)
        t.assertEqual(running(machine), everything)
        reaches(machine, "web", "10.99.0.12")
        machine.succeed(f"op-dbus ledger verify --expect-head {head} </dev/null")

    with subtest("After a power cut too"):
        machine.crash()
        machine.start()
        converged(machine)
        t.assertEqual(running(machine), everything)
        reaches(machine, "web", "10.99.0.12")
        machine.succeed(f"op-dbus ledger verify --expect-head {head} </dev/null")
  '';
}
