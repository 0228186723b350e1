# The chain from a client to the server where it ends, with a WireGuard tunnel in place of WARP's.
{
  self,
  lib,
  pkgs,
}:
let
  common = import ./host { inherit self lib; };
  keys = import ./host/wireguard-keys.nix;
  key = name: pkgs.writeText "key" keys.${name}.private;

  # Neither private nor reserved: Xray may treat those in ways of its own.
  web = "11.22.33.44";
  # What the ends of the tunnel have within it.
  inTunnel = "172.31.0.2";

  shadowsocks = {
    method = "aes-256-gcm";
    password = "known to everybody";
  };

  addressOf = node: (lib.head node.networking.interfaces.eth1.ipv4.addresses).address;

  tunnelClient =
    pkgs: cloud:
    pkgs.writeShellApplication {
      name = "warp-svc";
      runtimeInputs = [
        pkgs.coreutils
        pkgs.iproute2
        pkgs.wireguard-tools
      ];
      text = ''
        gone() {
          ip rule del priority 31998
          ip rule del priority 31999
          ip link del CloudflareWARP
        }
        trap 'exit 0' TERM
        trap gone EXIT
        ip link add CloudflareWARP type wireguard
        wg set CloudflareWARP private-key ${key "tunnel"} fwmark 51820 \
          peer ${keys.cloud.public} allowed-ips 0.0.0.0/0 endpoint ${cloud}:2408
        ip address add ${inTunnel}/32 dev CloudflareWARP
        ip link set CloudflareWARP up
        ip route add default dev CloudflareWARP table 51820
        ip rule add priority 31998 table main suppress_prefixlength 0
        ip rule add priority 31999 not fwmark 51820 table 51820
        sleep infinity &
        wait
      '';
    };
in
{
  nodes = {
    client = {
      virtualisation.vlans = [ 1 ];
      environment.systemPackages = [ pkgs.wireguard-tools ];
      networking.firewall.enable = false;
    };

    # The other end of the tunnel, which goes on to the internet.
    cloud = {
      virtualisation.vlans = [ 2 ];
      boot.kernel.sysctl."net.ipv4.ip_forward" = true;
      networking = {
        wireguard.interfaces.warp = {
          ips = [ "172.31.0.1/24" ];
          listenPort = 2408;
          privateKeyFile = "${key "cloud"}";
          peers = [
            {
              publicKey = keys.tunnel.public;
              allowedIPs = [ "${inTunnel}/32" ];
            }
          ];
        };
        firewall.enable = false;
        nftables = {
          enable = true;
          tables.warp = {
            family = "ip";
            content = ''
              chain postrouting {
                type nat hook postrouting priority srcnat;
                ip saddr ${inTunnel} masquerade
              }
            '';
          };
        };
      };
    };

    # Where the chain ends, and what is asked for.
    vps = {
      virtualisation.vlans = [ 2 ];
      environment.systemPackages = [ pkgs.tcpdump ];
      networking = {
        firewall.enable = false;
        interfaces.lo.ipv4.addresses = [
          {
            address = web;
            prefixLength = 32;
          }
        ];
      };
      services.xray = {
        enable = true;
        settings = {
          inbounds = [
            {
              port = 443;
              protocol = "shadowsocks";
              settings = shadowsocks // {
                network = "tcp,udp";
              };
            }
          ];
          outbounds = [ { protocol = "freedom"; } ];
        };
      };
      services.nginx = {
        enable = true;
        virtualHosts.default = {
          default = true;
          locations."/".return = "200 $remote_addr";
        };
      };
    };

    router =
      { nodes, ... }:
      {
        imports = [ common.host ];

        virtualisation = {
          memorySize = 3072;
          vlans = [
            1
            2
          ];
        };
        # It could send everything there at once, if it were not kept from it.
        networking.defaultGateway = {
          address = addressOf nodes.vps;
          interface = "eth2";
        };
        environment.systemPackages = [ pkgs.tcpdump ];

        environment.etc."op-dbus/secrets/xray.json".text = builtins.toJSON {
          inbounds = [
            {
              port = 12345;
              protocol = "dokodemo-door";
              settings = {
                network = "tcp,udp";
                followRedirect = true;
              };
              streamSettings.sockopt.tproxy = "tproxy";
            }
          ];
          outbounds = [
            {
              protocol = "shadowsocks";
              settings.servers = [
                (
                  shadowsocks
                  // {
                    address = addressOf nodes.vps;
                    port = 443;
                  }
                )
              ];
            }
          ];
        };

        services.operation-dbus.privacyRouter = {
          enable = true;
          wireguard.peers = [
            {
              publicKey = keys.client.public;
              allowedIPs = [ "10.100.0.2/32" ];
            }
          ];
          xray.settingsFile = "/etc/op-dbus/secrets/xray.json";
          vps.address = addressOf nodes.vps;
        };

        containers.privacy-warp.config =
          { pkgs, ... }:
          {
            services.cloudflare-warp.package = tunnelClient pkgs (addressOf nodes.cloud);
          };
      };
  };

  testScript =
    { nodes, ... }:
    common.script
    + ''
      web = "${web}"
      vps_address = "${addressOf nodes.vps}"
      cloud_address = "${addressOf nodes.cloud}"
      request = f"curl --fail --silent --max-time 5 http://{web}/"


      def watch(host, link):
          host.succeed(
              f"systemd-run --unit=watch tcpdump --immediate-mode -n -U -i {link} -w /tmp/seen.pcap"
          )
          host.wait_until_succeeds("test -s /tmp/seen.pcap", timeout=30)


      def seen(host, what):
          return int(host.succeed(f"tcpdump -n -r /tmp/seen.pcap '{what}' 2>/dev/null | wc -l"))


      # Of the client's or of the chain's, on the router's uplink.
      def leaks():
          inner = "net 10.90.0.0/24 or net 10.100.0.0/24"
          return seen(router, f"ip and (host {web} or host {vps_address} or {inner})")


      def nothing_leaves():
          client.fail(request)
          client.execute(f"ping -c 2 -W 2 {web}")
          t.assertEqual(leaks(), 0)


      start_all()
      cloud.wait_for_unit("multi-user.target")
      vps.wait_for_unit("xray.service")
      vps.wait_for_open_port(80, web)
      client.wait_for_unit("multi-user.target")
      converged(router)
      watch(router, "eth2")
      watch(vps, "eth1")

      with subtest("The router could reach the web by itself"):
          t.assertNotEqual(router.succeed(request).strip(), web)
          t.assertGreater(leaks(), 0)
          for host in [router, vps]:
              host.succeed("systemctl stop watch", "rm /tmp/seen.pcap")
          watch(router, "eth2")
          watch(vps, "eth1")

      with subtest("A client's request arrives through the chain"):
          gateway = router.succeed("nixos-container run privacy-wg -- wg show wg0 public-key").strip()
          client.succeed(
              "ip link add wg0 type wireguard",
              f"wg set wg0 private-key ${key "client"} peer {gateway}"
              " allowed-ips 0.0.0.0/0 endpoint ${nodes.router.networking.primaryIPAddress}:51820",
              "ip address add 10.100.0.2/32 dev wg0",
              "ip link set wg0 up",
              f"ip route add {web}/32 dev wg0",
          )
          client.wait_until_succeeds(request, timeout=120)
          # Who asked was the server itself, for Xray on it.
          t.assertEqual(client.succeed(request).strip(), web)

      with subtest("It went through the tunnel and nowhere else"):
          t.assertGreater(seen(router, f"udp port 2408 and host {cloud_address}"), 0)
          t.assertEqual(leaks(), 0)
          t.assertGreater(seen(vps, f"tcp port 443 and host {cloud_address}"), 0)
          t.assertEqual(seen(vps, f"port 443 and not host {cloud_address}"), 0)

      with subtest("Without the tunnel nothing leaves"):
          router.succeed("nixos-container run privacy-warp -- systemctl stop cloudflare-warp")
          nothing_leaves()
          router.succeed("nixos-container run privacy-warp -- systemctl start cloudflare-warp")
          client.wait_until_succeeds(request, timeout=120)

      with subtest("Without the hop nothing leaves"):
          router.succeed("systemctl stop container@privacy-warp")
          nothing_leaves()
          router.succeed("systemctl start container@privacy-warp")
          router.succeed("systemctl restart op-dbus-apply")
          client.wait_until_succeeds(request, timeout=120)
          t.assertEqual(leaks(), 0)
          router.succeed("op-dbus verify </dev/null")
    '';
}
