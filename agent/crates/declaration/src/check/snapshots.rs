//! Snapshots of subvolumes that there are.

use crate::document::Declaration;
use crate::problem::DocumentPath;

use super::{Check, meant, path, some_of};

/// Holds the snapshots.
const SNAPSHOTS: &str = "@snapshots";

pub(super) fn check(declaration: &Declaration, check: &mut Check<'_>) {
    let list = DocumentPath::of(["snapshots", "subvolumes"]);
    let declared = &declaration.plugins.btrfs.subvolumes;
    let known = check.intact(&path(["btrfs", "subvolumes"]));
    for (index, name) in declaration.snapshots.subvolumes.iter().enumerate() {
        let place = check.element(&list, index);
        if !check.intact(&place) {
            continue;
        }
        if name.as_str() == SNAPSHOTS {
            let found = format!("`{SNAPSHOTS}`, which holds the snapshots");
            check.report(place, found, "another subvolume", None);
        } else if known && !declared.contains_key(name) {
            let names = declared.keys().filter(|name| name.as_str() != SNAPSHOTS);
            let accepted = some_of("a declared subvolume", names.clone());
            let hint = meant(name.as_str(), names.map(|name| name.as_str()));
            check.report(place, format!("`{name}`"), accepted, hint);
        }
    }
    let empty = declaration.snapshots.subvolumes.is_empty();
    if empty && !declaration.snapshots.policies.is_empty() && check.intact(&list) {
        let hint = "leave `subvolumes` out for those that cannot be made again".to_owned();
        check.report(list, "an empty list", "one subvolume or more", hint);
    }
}
