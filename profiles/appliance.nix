# A server whose whole state is its configuration and what the agent keeps.
{ lib, ... }:
{
  imports = [ ./server.nix ];

  services.operation-dbus.enable = true;

  # It starts again by itself, and says on the serial line what it does.
  boot.kernelParams = [
    "panic=10"
    "console=tty0"
    "console=ttyS0,115200"
  ];

  # What is installed by hand would not survive the next host.
  environment.defaultPackages = lib.mkForce [ ];
  programs.command-not-found.enable = false;
}
