//! Units: something has to be said of each, and a masked one can neither run nor be enabled.

use super::{Check, path};
use crate::systemd::Systemd;

pub(super) fn check(section: &Systemd, check: &mut Check<'_>) {
    for (name, unit) in &section.units {
        let place = path(["systemd", "units", name.as_str()]);
        if !check.intact(&place) {
            continue;
        }
        if (unit.active, unit.enabled, unit.masked) == (None, None, None) {
            check.report(
                place.clone(),
                "nothing",
                "at least one of `active`, `enabled` and `masked`",
                None,
            );
        }
        if unit.masked != Some(true) {
            continue;
        }
        for (key, value) in [("active", unit.active), ("enabled", unit.enabled)] {
            if value == Some(true) {
                check.report(
                    place.key(key),
                    "`true` on a masked unit",
                    "`false`, or nothing",
                    "`masked: true` keeps the unit from being started by anything".to_owned(),
                );
            }
        }
    }
}
