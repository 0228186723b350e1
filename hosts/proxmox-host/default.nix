# A host that takes the place of Proxmox VE: a bridge on the network card, templates, containers, the mesh, the chat.
# Change the marked lines to yours.
{
  imports = [
    ../../profiles/appliance.nix
    ../../profiles/disk.nix
  ];

  networking.hostName = "proxmox-host";
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";

  # Yours: the key that lets you in.
  users.users.root.openssh.authorizedKeys.keys = [ ];

  # The bridge has the address of the host.
  systemd.network.networks."30-ovsbr0" = {
    matchConfig.Name = "ovsbr0";
    networkConfig.DHCP = "yes";
  };

  services.operation-dbus = {
    ovs.bridges.ovsbr0 = {
      # Yours: the network card.
      uplinks = [ "eth0" ];
    };
    openflow.bridges.ovsbr0 = { };

    lxc.templates.debian-base.recipe = "debian";
    lxc.containers.web-01 = {
      template = "debian-base";
      memory = "1GiB";
    };

    # Yours: the key of your mesh, as a file that is not in the store.
    netmaker = {
      enable = true;
      joinKeyFile = "/etc/op-dbus/secrets/netmaker-join-key";
    };
  };

  # Network cards are named in the order of their slots.
  networking.usePredictableInterfaceNames = false;
}
