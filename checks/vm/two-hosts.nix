# Two hosts with a WireGuard mesh of networkd's between them: containers of one reach those of the other.
{
  self,
  lib,
  pkgs,
}:
let
  common = import ./host { inherit self lib; };

  # Everything of a host that follows from its number.
  site =
    number: other:
    let
      network = "10.${toString number}.0";
    in
    {
      imports = [ common.host ];

      networking.firewall.allowedUDPPorts = [ 51821 ];
      boot.kernel.sysctl."net.ipv4.ip_forward" = true;
      environment.systemPackages = [ pkgs.wireguard-tools ];

      # The test makes the keys, and with them the link.
      systemd.network.networks."30-mesh" = {
        matchConfig.Name = "mesh";
        address = [ "10.9.0.${toString number}/24" ];
        routes = [ { Destination = "10.${toString other}.0.0/24"; } ];
        linkConfig.RequiredForOnline = "no";
      };

      services.operation-dbus = {
        ovs.bridges.br0 = {
          fail_mode = "secure";
          addresses = [ "${network}.1/24" ];
        };
        openflow.bridges.br0 = { };

        lxc.templates.busybox.recipe = "busybox";
        lxc.containers =
          lib.mapAttrs
            (_: address: {
              template = "busybox";
              inherit address;
              gateway = "${network}.1";
              memory = "64MiB";
            })
            {
              app = "${network}.11/24";
              log = "${network}.12/24";
            };
      };
    };
in
{
  nodes = {
    east = site 1 2;
    west = site 2 1;
  };

  testScript =
    { nodes, ... }:
    common.script
    + ''
      hosts = {
          east: ("${nodes.east.networking.primaryIPAddress}", 1),
          west: ("${nodes.west.networking.primaryIPAddress}", 2),
      }


      def meet(host, peer, key):
          address, number = hosts[peer]
          netdev = f"""
              [NetDev]
              Name=mesh
              Kind=wireguard
              [WireGuard]
              PrivateKeyFile=/run/mesh/key
              ListenPort=51821
              [WireGuardPeer]
              PublicKey={key}
              Endpoint={address}:51821
              AllowedIPs=10.9.0.{number}/32,10.{number}.0.0/24
          """
          host.succeed(f"cat >/run/systemd/network/30-mesh.netdev <<END\n{netdev}\nEND")
          host.succeed("networkctl reload")


      start_all()
      for host in hosts:
          converged(host)

      with subtest("The hosts have a mesh"):
          for host in hosts:
              host.succeed(
                  "mkdir -p /run/mesh /run/systemd/network",
                  "umask 027 && wg genkey >/run/mesh/key",
                  "chgrp systemd-network /run/mesh/key",
              )
          keys = {host: host.succeed("wg pubkey </run/mesh/key").strip() for host in hosts}
          meet(east, west, keys[west])
          meet(west, east, keys[east])
          east.wait_until_succeeds("ping -c 1 -W 2 10.9.0.2", timeout=60)

      with subtest("Containers reach those of the other host"):
          reaches(east, "app", "10.2.0.11")
          reaches(east, "log", "10.2.0.11")
          reaches(west, "app", "10.1.0.12")

      with subtest("And not without the mesh"):
          east.succeed("ip link set mesh down")
          east.fail("op-dbus container exec app -- ping -c 2 -W 2 10.2.0.11 </dev/null")
          east.succeed("ip link set mesh up")
          west.succeed("op-dbus verify </dev/null")

      with subtest("Containers of one host reach each other through sockets"):
          for host in hosts:
              run_in(host, "log", "ln -sf /run/op-dbus/self/log /dev/log")
              run_in(host, "log", "syslogd -O /tmp/heard")
              host.wait_until_succeeds(
                  "op-dbus container exec app -- test -S /run/op-dbus/peers/log/log </dev/null", timeout=60
              )
              run_in(host, "app", "ln -sf /run/op-dbus/peers/log/log /dev/log")
              run_in(host, "app", f"logger hello from {host.name}")
              host.wait_until_succeeds(
                  f"op-dbus container exec log -- grep 'hello from {host.name}' /tmp/heard </dev/null",
                  timeout=60,
              )

      with subtest("And can change nothing of each other's"):
          east.fail("op-dbus container exec app -- rm /run/op-dbus/peers/log/log </dev/null")
          east.fail("op-dbus container exec app -- touch /run/op-dbus/peers/log/other </dev/null")
    '';
}
