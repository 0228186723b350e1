# What `make demo` shows, as a host: one bridge, the four tables, three containers. It runs anywhere: its base is an
# image, and its switch is in user space.
{
  imports = [
    ../../profiles/appliance.nix
    ../../profiles/disk.nix
  ];

  networking.hostName = "demo";
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";

  services.operation-dbus = {
    btrfs = {
      image = "/var/lib/op-dbus.img";
      size = "1GiB";
    };
    ovs.bridges.opdemo0 = {
      datapath = "netdev";
      fail_mode = "secure";
      addresses = [ "10.99.0.1/24" ];
    };
    openflow.bridges.opdemo0 = { };

    lxc.templates.busybox.recipe = "busybox";
    lxc.containers = {
      web-01 = {
        template = "busybox";
        address = "10.99.0.11/24";
        gateway = "10.99.0.1";
        memory = "128MiB";
        after = [ "db-01" ];
      };
      db-01 = {
        template = "busybox";
        address = "10.99.0.12/24";
        memory = "128MiB";
      };
      batch = {
        template = "busybox";
        network = "none";
        memory = "64MiB";
      };
    };
  };
}
