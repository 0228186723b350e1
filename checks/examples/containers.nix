# Templates of each recipe, and containers of each network.
{
  services.operation-dbus = {
    enable = true;
    ovs.bridges.ovsbr0.addresses = [ "10.0.0.1/24" ];
    lxc = {
      templates = {
        busybox.recipe = "busybox";
        debian-base = {
          recipe = "debian";
          suite = "bookworm";
          packages = [ "openssh-server" ];
        };
        alpine-base = {
          recipe = "tarball";
          path = "/srv/images/alpine.tar.gz";
          sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        };
      };
      containers = {
        db-01 = {
          template = "debian-base";
          address = "10.0.0.12/24";
          gateway = "10.0.0.1";
          cores = 4;
          memory = "4GiB";
        };
        web-01 = {
          template = "debian-base";
          address = "10.0.0.11/24";
          after = [ "db-01" ];
        };
        batch = {
          template = "alpine-base";
          network = "none";
          running = false;
        };
      };
    };
  };
}
