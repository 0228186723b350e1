# A machine of one person, who tries containers out: the agent, and nothing that changes the machine besides.
{ lib, ... }:
{
  services.operation-dbus.enable = true;
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
  networking.firewall.enable = lib.mkDefault true;
}
