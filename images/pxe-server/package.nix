{
  lib,
  writeShellApplication,
  busybox,
  coreutils,
  curl,
  dnsmasq,
  iproute2,
  ipxe,
  jq,
  # What is served unless another directory is named.
  netboot ? null,
}:
writeShellApplication {
  name = "pxe-server";
  runtimeInputs = [
    coreutils
    curl
    dnsmasq
    iproute2
    jq
    # Last: it has small versions of what the others bring.
    busybox
  ];
  text = ''
    export PXE_SERVER_LOADERS=''${PXE_SERVER_LOADERS:-${ipxe}}
  ''
  + lib.optionalString (netboot != null) ''
    export PXE_SERVER_DIRECTORY=''${PXE_SERVER_DIRECTORY:-${netboot}}
  ''
  + lib.removePrefix "#!/usr/bin/env bash\n" (builtins.readFile ./pxe-server.sh);
}
