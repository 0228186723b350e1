# The chain with keys of one's own and a container beside it.
{
  networking.nftables.enable = true;

  services.operation-dbus = {
    enable = true;
    lxc.templates.busybox.recipe = "busybox";
    privacyRouter = {
      enable = true;
      bridgeName = "ovs-br0";
      wireguard = {
        privateKeyFile = "/run/secrets/wireguard-key";
        peers = [
          {
            publicKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            allowedIPs = [ "10.100.0.2/32" ];
            presharedKeyFile = "/run/secrets/wireguard-preshared";
          }
        ];
      };
      xray.settingsFile = "/run/secrets/xray.json";
      vps.address = "198.51.100.7";
      containers.redis = {
        template = "busybox";
        address = "10.90.0.50/24";
      };
    };
  };
}
