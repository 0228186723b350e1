{
  message = "an absolute path without";
  byType = true;
  config.access.files.read = [ "etc" ];
}
