# People with roles, and a longer time to confirm.
{
  users.users.alice.isNormalUser = true;
  users.users.bob.isNormalUser = true;

  services.operation-dbus = {
    enable = true;
    confirmWindow = "5m";
    roles = {
      admin = [ "alice" ];
      viewer = [ "bob" ];
    };
  };
}
