{
  message = "between 0 and 10000";
  byType = true;
  config.ledger.retention.hourly = -1;
}
