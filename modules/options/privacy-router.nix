{ lib, ... }:
let
  inherit (lib) mkOption types;
  schema = import ../schema.nix { inherit lib; };
  secretFile = import ../secret-file.nix { inherit lib; };

  address =
    default: of:
    mkOption {
      type = types.strMatching "[0-9]{1,3}(\\.[0-9]{1,3}){3}";
      inherit default;
      description = "The IPv4 address of ${of} on the bridge.";
    };

  containerId =
    default:
    mkOption {
      type = types.ints.between 1 999999999;
      inherit default;
      description = "The number of its container, for people and for the ledger.";
    };

  linkName =
    default: of:
    mkOption {
      type = types.strMatching "[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}";
      inherit default;
      description = "The port of ${of} on the bridge, at most 15 characters.";
    };
in
{
  options.services.operation-dbus.privacyRouter = {
    enable = lib.mkEnableOption ''
      the privacy router: clients enter by WireGuard, and leave by a server of yours (VPS) that Xray reaches through
      Cloudflare WARP. Each hop is a container whose only way out is the next one
    '';

    bridgeName = linkName "ovs-br0" "the chain";

    wireguard = {
      containerId = containerId 100;
      address = address "10.90.0.10" "the WireGuard gateway";

      listenPort = mkOption {
        type = types.port;
        default = 51820;
        description = "The UDP port of this host that clients connect to.";
      };

      addresses = mkOption {
        type = types.listOf types.str;
        default = [ "10.100.0.1/24" ];
        description = "The gateway's addresses in the network of its clients, with the length of the prefix.";
      };

      privateKeyFile = mkOption {
        type = types.nullOr secretFile;
        default = null;
        example = "/run/secrets/wireguard-key";
        description = "The gateway's private key. With null the container makes one when it first starts.";
      };

      peers = mkOption {
        type = types.listOf (
          types.submodule {
            options = {
              publicKey = mkOption {
                type = types.strMatching "[A-Za-z0-9+/]{43}=";
                description = "The client's public key.";
              };

              allowedIPs = mkOption {
                type = types.nonEmptyListOf types.str;
                example = [ "10.100.0.2/32" ];
                description = "The client's addresses.";
              };

              presharedKeyFile = mkOption {
                type = types.nullOr secretFile;
                default = null;
                description = "A key that only this client and the gateway know.";
              };
            };
          }
        );
        default = [ ];
        description = "The clients.";
      };
    };

    warp = {
      containerId = containerId 101;
      address = address "10.90.0.11" "the WARP hop";

      interface = mkOption {
        type = types.str;
        default = "CloudflareWARP";
        description = "The interface that the WARP client makes.";
      };
    };

    xray = {
      containerId = containerId 102;
      address = address "10.90.0.12" "the Xray hop";

      settingsFile = mkOption {
        type = types.nullOr secretFile;
        default = null;
        example = "/run/secrets/xray.json";
        description = ''
          Xray's configuration, a secret. It must have an inbound `dokodemo-door` with `tproxy` at `tproxyPort`, and
          an outbound to the VPS.
        '';
      };

      tproxyPort = mkOption {
        type = types.port;
        default = 12345;
        description = "The port of Xray's inbound, within its container.";
      };
    };

    vps = {
      address = mkOption {
        type = types.nullOr (types.strMatching "[0-9]{1,3}(\\.[0-9]{1,3}){3}");
        default = null;
        example = "198.51.100.7";
        description = "The IPv4 address of the VPS where the chain ends. The Xray hop reaches nothing else.";
      };

      port = mkOption {
        type = types.port;
        default = 443;
        description = "The port of Xray on the VPS.";
      };
    };

    socketNetworking = {
      address = address "10.90.0.1" "this host";

      prefixLength = mkOption {
        type = types.ints.between 8 29;
        default = 24;
        description = "The length of the prefix of the network on the bridge.";
      };

      ports = {
        wireguard = linkName "priv_wg" "the WireGuard gateway";
        warp = linkName "priv_warp" "the WARP hop";
        xray = linkName "priv_xray" "the Xray hop";
      };
    };

    openflow = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether flows let each hop reach the next one alone. Without them the bridge is a plain switch.";
      };

      flows = mkOption {
        type = types.listOf (schema.type "Flow");
        default = [ ];
        description = "Further flows of the bridge.";
      };
    };

    netmaker.enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether this host is in the Netmaker mesh too, for containers on other hosts.";
    };

    containers = mkOption {
      type = types.attrsOf (schema.type "Container");
      default = { };
      description = ''
        Further containers on the chain's bridge (their ports are `sock_NAME`), as in `lxc.containers`. They do not go
        through the chain.
      '';
    };
  };
}
