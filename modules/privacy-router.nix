# The chain of four hops: WireGuard → WARP → Xray → VPS. Each of the first three is a container with one port on the
# bridge. Three things, each alone enough, keep a packet from leaving elsewhere: the flows of the bridge, the routes of
# the hop, and the packet filter in it.
#
# WARP stands in the middle in both directions: it hands clients' packets on to Xray, and its own tunnel carries what
# Xray sends to the VPS.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.operation-dbus;
  chain = cfg.privacyRouter;
  inherit (chain)
    wireguard
    warp
    xray
    vps
    socketNetworking
    ;
  inherit (socketNetworking) ports;

  onBridge = address: "${address}/${toString socketNetworking.prefixLength}";
  hostAddress = socketNetworking.address;

  # What the outer packets of the gateway are marked with, so that they go to the host and not into the chain.
  outer = 100;
  # What Xray is to see is marked with, and its routing table.
  inner = 1;

  flow = priority: match: action: {
    inherit priority match;
    actions = [ action ];
  };
  to = port: { output = port; };
  arp = in_port: arp_tpa: { inherit in_port arp_tpa; };
  from = in_port: ip_src: { inherit in_port ip_src; };
  toAddress = in_port: ip_dst: { inherit in_port ip_dst; };
  all = in_port: { inherit in_port; };

  flows = [
    # The tunnel of the clients, and who answers for the host.
    (flow 31000 {
      in_port = ports.wireguard;
      eth_type = "ip";
      ip_proto = "udp";
      udp_src = wireguard.listenPort;
    } "local")
    (flow 31000 (arp ports.wireguard hostAddress) "local")
    (flow 31000 (arp ports.warp hostAddress) "local")
    # The gateway reaches the WARP hop and nothing else.
    (flow 30000 (all ports.wireguard) (to ports.warp))
    # The WARP hop hands clients' packets on to Xray, answers back, and its tunnel to the host.
    (flow 30500 (arp ports.warp wireguard.address) (to ports.wireguard))
    (flow 30500 (arp ports.warp xray.address) (to ports.xray))
    (flow 30400 (toAddress ports.warp wireguard.address) (to ports.wireguard))
    (flow 30300 (toAddress ports.warp xray.address) (to ports.xray))
    (flow 30200 (from ports.warp wireguard.address) (to ports.xray))
    (flow 30100 (from ports.warp warp.address) "local")
    (flow 30000 (all ports.warp) "drop")
    # Xray reaches the WARP hop and nothing else.
    (flow 30000 (all ports.xray) (to ports.warp))
  ];

  # What every hop has in common.
  hop =
    {
      port,
      address,
      routes,
      rules ? [ ],
      filter,
      files ? { },
      module,
    }:
    {
      autoStart = true;
      privateNetwork = true;
      enableTun = true;
      extraVeths.${port} = { };
      bindMounts = lib.mapAttrs (_: hostPath: {
        inherit hostPath;
        isReadOnly = true;
      }) files;

      config = {
        imports = [ module ];
        system.stateVersion = config.system.stateVersion;
        documentation.enable = false;

        networking = {
          useNetworkd = true;
          useDHCP = false;
          useHostResolvConf = false;
          firewall.enable = false;
          nftables = {
            enable = true;
            # The rules name links that come later.
            checkRuleset = false;
            tables.op-dbus-hop = {
              family = "inet";
              content = filter;
            };
          };
        };

        boot.kernel.sysctl."net.ipv4.ip_forward" = true;

        systemd.network = {
          enable = true;
          wait-online.enable = false;
          networks."10-${port}" = {
            matchConfig.Name = port;
            address = [ (onBridge address) ];
            networkConfig.LinkLocalAddressing = "no";
            inherit routes;
            routingPolicyRules = rules;
          };
        };
      };
    };

  gateway = hop {
    port = ports.wireguard;
    inherit (wireguard) address;
    # Clients' packets go on to WARP, the tunnel's own to the host.
    routes = [
      { Gateway = warp.address; }
      {
        Gateway = hostAddress;
        Table = outer;
      }
    ];
    rules = [
      {
        FirewallMark = outer;
        Table = outer;
      }
    ];
    filter = ''
      chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "wg0" oifname "${ports.wireguard}" accept
      }
      chain postrouting {
        type nat hook postrouting priority srcnat;
        iifname "wg0" oifname "${ports.wireguard}" masquerade
      }
    '';
    files =
      lib.optionalAttrs (wireguard.privateKeyFile != null) {
        "/run/op-dbus-keys/private" = wireguard.privateKeyFile;
      }
      // lib.listToAttrs (
        lib.concatLists (
          lib.imap0 (
            index: peer:
            lib.optional (peer.presharedKeyFile != null) (
              lib.nameValuePair "/run/op-dbus-keys/preshared-${toString index}" peer.presharedKeyFile
            )
          ) wireguard.peers
        )
      );
    module =
      { options, ... }:
      {
        # networkd cannot make the key.
        networking.wireguard =
          lib.optionalAttrs (options.networking.wireguard ? useNetworkd) {
            useNetworkd = false;
          }
          // {
            interfaces.wg0 = {
              ips = wireguard.addresses;
              inherit (wireguard) listenPort;
              fwMark = toString outer;
              privateKeyFile =
                if wireguard.privateKeyFile != null then
                  "/run/op-dbus-keys/private"
                else
                  "/var/lib/wireguard/private.key";
              generatePrivateKeyFile = wireguard.privateKeyFile == null;
              peers = lib.imap0 (index: peer: {
                inherit (peer) publicKey allowedIPs;
                presharedKeyFile =
                  if peer.presharedKeyFile == null then null else "/run/op-dbus-keys/preshared-${toString index}";
              }) wireguard.peers;
            };
          };
        environment.systemPackages = [ pkgs.wireguard-tools ];
      };
  };

  tunnel = hop {
    port = ports.warp;
    inherit (warp) address;
    routes = [
      { Gateway = hostAddress; }
      {
        Gateway = xray.address;
        Table = outer;
      }
    ];
    rules = [
      {
        From = wireguard.address;
        Table = outer;
        Priority = 100;
      }
    ];
    # What Xray sends goes into the tunnel or nowhere.
    filter = ''
      chain forward {
        type filter hook forward priority filter; policy drop;
        iifname "${ports.warp}" oifname "${ports.warp}" ip saddr ${wireguard.address} accept
        iifname "${ports.warp}" oifname "${ports.warp}" ip daddr ${wireguard.address} accept
        iifname "${ports.warp}" oifname "${warp.interface}" ip saddr ${xray.address} accept
        iifname "${warp.interface}" ct state established,related accept
      }
      chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "${warp.interface}" masquerade
      }
    '';
    module = {
      services.cloudflare-warp.enable = true;
      nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "cloudflare-warp";
      # The hop forwards packets of one link back to it.
      boot.kernel.sysctl."net.ipv4.conf.all.send_redirects" = false;
    };
  };

  exit = hop {
    port = ports.xray;
    inherit (xray) address;
    routes = [
      { Gateway = warp.address; }
      # The answers go back the way that the packets came.
      {
        Destination = "${wireguard.address}/32";
        Gateway = warp.address;
      }
    ];
    rules = [
      {
        FirewallMark = inner;
        Table = inner;
      }
    ];
    # The VPS is all that this hop reaches.
    filter = ''
      chain prerouting {
        type filter hook prerouting priority mangle;
        iifname "${ports.xray}" ip saddr ${wireguard.address} meta l4proto { tcp, udp } tproxy ip to :${toString xray.tproxyPort} meta mark set ${toString inner} accept
      }
      chain forward {
        type filter hook forward priority filter; policy drop;
      }
      chain output {
        type filter hook output priority filter; policy drop;
        oifname "lo" accept
        ct state established,related accept
        ip saddr != ${xray.address} accept
        ip daddr ${toString vps.address} meta l4proto { tcp, udp } th dport ${toString vps.port} accept
      }
    '';
    files."/run/op-dbus-keys/xray.json" = xray.settingsFile;
    module = {
      services.xray = {
        enable = true;
        settingsFile = "/run/op-dbus-keys/xray.json";
      };
      # What is marked is for this host, whatever its address.
      systemd.network.networks."10-lo" = {
        matchConfig.Name = "lo";
        routes = [
          {
            Destination = "0.0.0.0/0";
            Type = "local";
            Table = inner;
          }
        ];
      };
    };
  };

  hops = [
    "container@privacy-wg.service"
    "container@privacy-warp.service"
    "container@privacy-xray.service"
  ];
in
{
  config = lib.mkIf (cfg.enable && chain.enable) {
    services.operation-dbus = {
      ovs.bridges.${chain.bridgeName} = {
        fail_mode = lib.mkDefault "secure";
        addresses = [ (onBridge hostAddress) ];
        ports = lib.genAttrs (lib.attrValues ports) (_: {
          type = "system";
        });
      };

      openflow.bridges.${chain.bridgeName} = {
        flows = lib.optionals chain.openflow.enable flows ++ chain.openflow.flows;
      };

      lxc.containers = lib.mapAttrs (
        _: container:
        container // { bridge = if container.bridge == null then chain.bridgeName else container.bridge; }
      ) chain.containers;

      netmaker.enable = lib.mkIf chain.netmaker.enable true;
    };

    containers = {
      privacy-wg = gateway;
      privacy-warp = tunnel;
      privacy-xray = exit;
    };

    boot.kernelModules = [ "wireguard" ];
    boot.kernel.sysctl."net.ipv4.ip_forward" = true;
    networking.firewall.allowedUDPPorts = [ wireguard.listenPort ];

    networking.nftables.tables.op-dbus-privacy = {
      family = "ip";
      content = ''
        chain prerouting {
          type nat hook prerouting priority dstnat;
          iifname != "${chain.bridgeName}" udp dport ${toString wireguard.listenPort} dnat to ${wireguard.address}
        }
        chain postrouting {
          type nat hook postrouting priority srcnat;
          ip saddr ${warp.address} oifname != "${chain.bridgeName}" masquerade
        }
        chain forward {
          type filter hook forward priority filter; policy accept;
          iifname "${chain.bridgeName}" ip saddr { ${wireguard.address}, ${xray.address} } ct state new drop
        }
      '';
    };

    # A hop's end of its port is made when the hop starts.
    systemd.services = {
      op-dbus-apply = {
        wants = hops;
        after = hops;
      };
      # A secret that is not there yet is no reason to start without it.
      "container@privacy-wg" = {
        wants = cfg.secrets.after;
        inherit (cfg.secrets) after;
      };
      "container@privacy-xray" = {
        wants = cfg.secrets.after;
        inherit (cfg.secrets) after;
      };
    };
  };
}
