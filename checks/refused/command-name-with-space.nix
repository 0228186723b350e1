{
  message = ''services.operation-dbus.access.commands: "disk usage" cannot be a name here'';
  config.access.commands."disk usage" = [ "/run/current-system/sw/bin/df" ];
}
