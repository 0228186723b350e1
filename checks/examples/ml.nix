# Search by meaning with a model.
{
  services.operation-dbus = {
    enable = true;
    ml = {
      enable = true;
      executionProvider = "cpu";
      numThreads = 8;
    };
  };
}
