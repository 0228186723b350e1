{
  message = ''"enforce"'';
  byType = true;
  config.reconcile = "always";
}
