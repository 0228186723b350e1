{
  message = "\"the attic\" cannot be a name here";
  config.ledger.witnesses."the attic" = {
    url = "https://attic.example.org";
    key = "attic.example.org/witness+bdeb6803+BFDnIeScAT8Axiz1nyFjVCqdjfAkZO/rYV0xBRsP3cMm";
  };
}
