# WireGuard → WARP → Xray → VPS. Change the marked lines to yours.
{
  imports = [
    ../../profiles/appliance.nix
    ../../profiles/disk.nix
  ];

  networking.hostName = "privacy-router";
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";

  # Yours: the key that lets you in.
  users.users.root.openssh.authorizedKeys.keys = [ ];

  # Yours: the network card.
  networking.usePredictableInterfaceNames = false;
  systemd.network.networks."30-eth0" = {
    matchConfig.Name = "eth0";
    networkConfig.DHCP = "yes";
  };

  services.operation-dbus.privacyRouter = {
    enable = true;
    # Yours: the clients, the server where the chain ends, and how Xray reaches it.
    wireguard.peers = [
      {
        publicKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        allowedIPs = [ "10.100.0.2/32" ];
      }
    ];
    vps.address = "198.51.100.7";
    xray.settingsFile = "/etc/op-dbus/secrets/xray.json";
  };
}
