# A host whose ledger another one watches over, and which watches over that one's.
{
  services.operation-dbus = {
    enable = true;
    ledger = {
      checkpoints.origin = "host.example.org/ledger";
      witnesses.attic = {
        url = "http://10.0.0.20:8181";
        key = "attic.example.org/witness+bdeb6803+BFDnIeScAT8Axiz1nyFjVCqdjfAkZO/rYV0xBRsP3cMm";
      };
      witness = {
        listen = "10.0.0.2:8181";
        origins = [ "cellar.example.org/ledger+1b112fb5+AayshsDmCcqQb2MrDi2szLK3fSKwYh8g6+zhpINbk/bw" ];
      };
    };
  };
}
