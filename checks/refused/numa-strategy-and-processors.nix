{
  message = "take one of them out";
  config = {
    numa = {
      enable = true;
      strategy = "round-robin";
      cpuList = "0-3";
    };
  };
}
