# Search by meaning with a model.
{
  services.operation-dbus = {
    enable = true;
    ml = {
      enable = true;
      model = "/var/lib/models/minilm";
      executionProvider = "cpu";
      numThreads = 8;
    };
  };
}
