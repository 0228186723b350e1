//! Packages: a version says what is installed, and nothing else.

use super::{Check, path};
use crate::packagekit::{Ensure, Packagekit};

pub(super) fn check(section: &Packagekit, check: &mut Check<'_>) {
    for (name, package) in &section.packages {
        let place = path(["packagekit", "packages", name.as_str()]);
        if package.version.is_some() && package.ensure != Ensure::Installed && check.intact(&place)
        {
            check.report(
                place.key("version"),
                format!("a version with `ensure: {}`", package.ensure),
                "`version` only with `ensure: installed`",
                None,
            );
        }
    }
}
