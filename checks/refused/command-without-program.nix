{
  message = "access.commands.nothing has to begin with the absolute path of a program";
  config.access.commands.nothing = [ ];
}
