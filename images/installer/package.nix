{
  lib,
  writeShellApplication,
  btrfs-progs,
  coreutils,
  curl,
  gawk,
  gnugrep,
  gnused,
  jq,
  nix,
  nixos-install,
  systemd,
  util-linux,
}:
writeShellApplication {
  name = "op-dbus-install";
  runtimeInputs = [
    btrfs-progs
    coreutils
    curl
    gawk
    gnugrep
    gnused
    jq
    nix
    nixos-install
    systemd
    util-linux
  ];
  text = lib.removePrefix "#!/usr/bin/env bash\n" (builtins.readFile ./install.sh);
}
