{
  message = ''roles names "alcie", who is no user'';
  config.roles.admin = [ "alcie" ];
}
