// Who has a role in the declaration is not asked for an administrator's password.
polkit.addRule(function (action, subject) {
  var access = @access@;
  var roles = {
    "org.opdbus1.read": ["viewer", "operator", "admin"],
    "org.opdbus1.write": ["operator", "admin"],
    "org.opdbus1.destroy": ["admin"]
  }[action.id];

  function has(role) {
    return access[role].users.indexOf(subject.user) >= 0 ||
      access[role].groups.some(function (group) { return subject.isInGroup(group); });
  }

  if (!roles || !roles.some(has)) {
    return polkit.Result.NOT_HANDLED;
  }
  // Somebody has to be there when data is lost.
  return action.id === "org.opdbus1.destroy" ? polkit.Result.AUTH_SELF_KEEP : polkit.Result.YES;
});
