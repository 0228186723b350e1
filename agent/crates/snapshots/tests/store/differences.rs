//! What differs between snapshots.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use snapshots::{Bounds, Differences, What};

use crate::base::{Base, name};

fn diff(base: &Base, before: &str, after: Option<&str>, named: usize) -> Differences {
    let bounds = Bounds {
        named,
        looked_at: 100_000,
        go_on: &|| true,
    };
    let after = after.map(name);
    base.store
        .diff(&name(before), after.as_ref(), bounds)
        .unwrap()
}

/// `diff` of diffutils is the witness.
#[test]
fn differences_are_those_that_diff_finds() {
    let Some(base) = Base::new(128) else { return };
    for dir in 0..10 {
        fs::create_dir(base.at(&format!("@state/d{dir}"))).unwrap();
        for file in 0..20 {
            base.write(&format!("@state/d{dir}/f{file}"), "same length");
        }
    }
    symlink("/etc/passwd", base.at("@state/link")).unwrap();
    base.create("a", &["@state"]).unwrap();
    assert_eq!(diff(&base, "a", None, 100).found, []);
    for dir in 0..10 {
        base.write(&format!("@state/d{dir}/f{dir}"), "other lengt");
        base.write(&format!("@state/d{dir}/new"), "");
        fs::remove_file(base.at(&format!("@state/d{dir}/f{}", dir + 1))).unwrap();
    }
    // Written again with the same content and times, it has not changed.
    let touched = base.at("@state/d0/f15");
    let times = fs::metadata(&touched).unwrap();
    fs::write(&touched, "same length").unwrap();
    let file = fs::File::options().write(true).open(&touched).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    fs::remove_dir_all(base.at("@state/d9")).unwrap();
    fs::remove_file(base.at("@state/link")).unwrap();
    symlink("/etc/shadow", base.at("@state/link")).unwrap();
    base.create("b", &["@state", "@containers"]).unwrap();
    let found = diff(&base, "a", Some("b"), 100);
    assert_eq!(found.only_after, ["@containers"]);
    let ours: BTreeSet<_> = found
        .found
        .iter()
        .map(|one| (one.what, one.path.clone()))
        .collect();

    let (a, b) = (
        base.at("@snapshots/a/@state"),
        base.at("@snapshots/b/@state"),
    );
    let said = lab::output(
        "diff",
        &[
            "-rq",
            "--no-dereference",
            a.to_str().unwrap(),
            b.to_str().unwrap(),
        ],
    );
    let theirs: BTreeSet<_> = String::from_utf8(said.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let line = line
                .replace(a.to_str().unwrap(), "A")
                .replace(b.to_str().unwrap(), "B");
            let only = |tree: &str| {
                let rest = line.strip_prefix(&format!("Only in {tree}"))?;
                let (dir, name) = rest.split_once(": ")?;
                Some(format!("@state{dir}/{name}"))
            };
            match (only("A"), only("B")) {
                (Some(path), _) => (What::Removed, path),
                (_, Some(path)) => (What::Added, path),
                _ => {
                    let path = line
                        .split(' ')
                        .find_map(|word| word.strip_prefix("A/"))
                        .unwrap();
                    (What::Changed, format!("@state/{path}"))
                }
            }
        })
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(diff(&base, "a", Some("b"), 5).found.len(), 5);
    assert!(diff(&base, "a", Some("b"), 5).cut);
}
