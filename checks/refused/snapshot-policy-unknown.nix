{
  message = ''"per-operation"'';
  byType = true;
  config.snapshots.policies = [ "weekly" ];
}
