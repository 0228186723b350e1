# What the agent's units may do. The one that applies and the daemon make the same things, so they need the same.
{ lib, cfg }:
{
  CapabilityBoundingSet = [
    "CAP_CHOWN"
    "CAP_DAC_OVERRIDE"
    "CAP_DAC_READ_SEARCH"
    "CAP_FOWNER"
    "CAP_FSETID"
    "CAP_KILL"
    "CAP_MKNOD"
    "CAP_NET_ADMIN"
    "CAP_SETFCAP"
    "CAP_SETGID"
    "CAP_SETUID"
    "CAP_SYS_ADMIN"
    "CAP_SYS_CHROOT"
    "CAP_SYS_PTRACE"
    "CAP_SYS_RESOURCE"
  ];
  LockPersonality = true;
  MemoryDenyWriteExecute = true;
  NoNewPrivileges = true;
  RestrictAddressFamilies = [
    "AF_INET"
    "AF_INET6"
    "AF_NETLINK"
    "AF_UNIX"
  ];
  RestrictRealtime = true;
  SystemCallArchitectures = "native";
  SystemCallFilter = [
    "@system-service"
    "@mount"
    "@sandbox"
    "~@clock"
    "~@cpu-emulation"
    "~@debug"
    "~@obsolete"
    "~@raw-io"
    "~@reboot"
    "~@swap"
  ];
}
# What hides a part of the file system gives the unit mounts of its own, and an image that it mounts would not be
# seen by the host.
// lib.optionalAttrs (cfg.btrfs.image == null) {
  PrivateTmp = true;
  ProtectClock = true;
  ProtectHome = "read-only";
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectSystem = "full";
}
