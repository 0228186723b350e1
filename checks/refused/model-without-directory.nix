{
  message = "services.operation-dbus.ml.enable needs a model";
  config = {
    ml.enable = true;
  };
}
