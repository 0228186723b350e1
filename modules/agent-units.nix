# The same for each unit that runs the agent: the one that applies, and the daemon.
{ lib, cfg }: lib.genAttrs ([ "op-dbus-apply" ] ++ lib.optional cfg.daemon.enable "op-dbusd")
