{
  message = "access.commands.disk-usage has to begin with the absolute path of a program";
  config.access.commands.disk-usage = [
    "df"
    "-h"
  ];
}
