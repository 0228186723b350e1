# Snapshots are kept longer than by default.
{
  services.operation-dbus = {
    enable = true;
    ledger.retention = {
      hourly = 24;
      daily = 7;
      weekly = 8;
      quarterly = 8;
    };
  };
}
