# The daemon: who reaches it by socket and by bus, what drift it mends, and that it ends when it is told to.
{ self, lib, ... }:
let
  common = import ./host { inherit self lib; };
in
{
  nodes.machine = {
    imports = [ common.host ];

    users.users = lib.genAttrs [ "alice" "bob" "carol" "eve" ] (_: {
      isNormalUser = true;
    });

    services.operation-dbus = {
      ovs.bridges.br0 = {
        datapath = "system";
        addresses = [ "10.99.0.1/24" ];
      };
      roles = {
        viewer = [ "bob" ];
        operator = [ "carol" ];
        admin = [ "alice" ];
      };
    };
  };

  testScript = common.script + ''
    bus = "busctl --system --allow-interactive-authorization=no"
    state = "org.opdbus1 /org/opdbus1 org.opdbus1.State"


    def as_user(user, command):
        return f"setpriv --reuid={user} --regid=users --init-groups {command} </dev/null"


    with subtest("It starts when the declaration was applied"):
        converged(machine)
        machine.wait_for_unit("op-dbusd.service")
        machine.succeed("systemctl is-active op-dbusd.socket")

    with subtest("It is on the bus, and says what it offers"):
        interfaces = machine.succeed(f"{bus} introspect org.opdbus1 /org/opdbus1")
        assert "org.opdbus1.State" in interfaces
        machine.succeed(f"{bus} call {state} Verify")

    with subtest("Nobody else can be it"):
        machine.fail(
            as_user(
                "eve",
                f"{bus} call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su org.opdbus1 4",
            )
        )

    with subtest("Roles are asked for no password, others are"):
        for user in ["alice", "bob", "carol"]:
            machine.succeed(as_user(user, f"{bus} call {state} Verify"))
        machine.fail(as_user("eve", f"{bus} call {state} Verify"))

    with subtest("The sockets are for the group alone"):
        for socket in ["/run/op-dbus/jsonrpc.sock", "/var/lib/op-dbus/sockets/api/opdbus.sock"]:
            t.assertEqual(machine.succeed(f"stat -c '%U:%G %a' {socket}").strip(), "root:opdbus 660")
            machine.succeed(as_user("bob", f"test -w {socket}"))
            machine.fail(as_user("eve", f"test -w {socket}"))
            machine.fail(as_user("alice", f"rm -f {socket}"))

    with subtest("It mends what somebody changes by hand"):
        machine.succeed("ip address del 10.99.0.1/24 dev br0")
        machine.wait_until_succeeds("ip address show dev br0 | grep --quiet 10.99.0.1/24", timeout=60)

    with subtest("It reads the declaration anew without a new process"):
        before = machine.succeed("systemctl show --property=MainPID --value op-dbusd").strip()
        machine.succeed("systemctl reload op-dbusd")
        machine.succeed(f"{bus} call {state} Verify")
        t.assertEqual(machine.succeed("systemctl show --property=MainPID --value op-dbusd").strip(), before)

    with subtest("It ends at once, and whoever asks starts it again"):
        machine.succeed("timeout 5 systemctl stop op-dbusd.service")
        machine.succeed(as_user("bob", f"{bus} call {state} Verify"))
        machine.wait_for_unit("op-dbusd.service")

    with subtest("It comes back when it is killed"):
        machine.succeed("systemctl kill --signal=KILL op-dbusd.service")
        machine.wait_until_succeeds(f"{bus} call {state} Verify", timeout=60)
        machine.succeed("op-dbus ledger verify </dev/null")
  '';
}
