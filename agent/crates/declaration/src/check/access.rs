//! Commands: there must be a program, and it must not be looked for.

use crate::access::Access;
use crate::problem::DocumentPath;

use super::Check;

pub(super) fn check(access: &Access, check: &mut Check<'_>) {
    for (name, arguments) in &access.commands {
        let path = DocumentPath::of(["access", "commands", name.as_str()]);
        if !check.intact(&path) {
            continue;
        }
        let accepted = "a list that begins with the absolute path of a program";
        match arguments.first() {
            None => check.report(path, "an empty list", accepted, None),
            Some(program) if !program.starts_with('/') => {
                let hint = format!("write its path, such as /usr/bin/{program}");
                check.report(path.index(0), format!("`{program}`"), accepted, hint);
            }
            Some(_) => {}
        }
    }
}
