{
  message = "btrfs.enable is false, but the ledger";
  config.btrfs.enable = false;
}
