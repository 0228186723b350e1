//! What lies in file systems, as others than the code under test see it.

use std::path::Path;

use crate::run;

/// A path as an argument of a program.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The names of all that lies in a directory, hidden or not, in order.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// The value of one line of `btrfs subvolume show`; panics where there is none.
pub fn subvolume_show(path: &Path, field: &str) -> String {
    let shown = run("btrfs", &["subvolume", "show", text(path)]);
    let line = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {field} in\n{shown}"));
    line.trim().to_owned()
}
