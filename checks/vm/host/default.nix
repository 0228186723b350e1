# What the tests have in common: a host with a disk for the base, and what is asked of it.
{ self, lib }:
{
  host = {
    imports = [
      self.nixosModules.default
      self.nixosModules.profile-appliance
    ];

    virtualisation = {
      memorySize = lib.mkDefault 1536;
      emptyDiskImages = [ 2048 ];
      fileSystems."/var/lib/op-dbus" = {
        device = "/dev/vdb";
        fsType = "btrfs";
        autoFormat = true;
      };
    };
    services.btrfs.autoScrub.enable = false;
    services.timesyncd.enable = false;
  };

  # The backdoor of the driver has a terminal, at which nobody would answer.
  script = ''
    import json


    def ask(host, words):
        return json.loads(host.succeed(f"op-dbus --json {words} </dev/null"))


    def run_in(host, container, command):
        return host.succeed(f"op-dbus container exec {container} -- {command} </dev/null")


    def reaches(host, container, address):
        host.wait_until_succeeds(
            f"op-dbus container exec {container} -- ping -c 1 -W 2 {address} </dev/null", timeout=60
        )


    def converged(host):
        host.wait_for_unit("op-dbus-apply.service")
        host.succeed("op-dbus verify </dev/null")


    def running(host):
        containers = ask(host, "container list")["containers"]
        return sorted(one["name"] for one in containers if one["state"]["running"])


    # The process ids of containers, seen from the host.
    def inits(host, names):
        info = "lxc-info -P /var/lib/op-dbus/@containers -p -H -n"
        return {name: int(host.succeed(f"{info} {name}")) for name in names}


  '';
}
