{
  message = "which this build of the agent does not have";
  config = {
    ml = {
      enable = true;
      model = "/srv/model";
      executionProvider = "cuda";
    };
  };
}
