{
  byType = true;
  message = "ledger.witness.origins";
  config.ledger.witness.listen = "127.0.0.1:8181";
}
