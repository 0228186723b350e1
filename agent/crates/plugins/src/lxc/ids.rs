//! Ranges of user and group ids for unprivileged containers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use reconcile::PluginError;

use super::place::subdirectories;
use super::seal::Seal;

/// How many ids a container has.
pub(super) const COUNT: u32 = 0x1_0000;
/// The first id of the first range. systemd-nspawn takes its ranges from 0x80000 to 0x6fffffff
/// (systemd, docs/UIDS-GIDS.md), and from 0x80000000 on some programs see negative numbers.
const FIRST: u32 = 0x7000_0000;
const LAST: u32 = 0x7fff_ffff;

static ALLOCATION: Mutex<()> = Mutex::new(());

/// The right to choose a range, to be held until the choice is on disk, and to rename what may have
/// one: a look at a directory can miss what is renamed meanwhile.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    ALLOCATION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first id of the lowest range that no container in `directory`, not even one in the making, has
/// and that is not granted to a user.
pub(super) fn allocate(
    directory: &Path,
    _right: &MutexGuard<'static, ()>,
) -> Result<u32, PluginError> {
    let mut taken = BTreeSet::new();
    for path in subdirectories(directory)? {
        taken.extend(Seal::read(&path)?.and_then(|seal| seal.first_id));
    }
    let grants: Vec<_> = ["/etc/subuid", "/etc/subgid"]
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| grants(&text))
        .collect();
    lowest_free(&taken, &grants).ok_or_else(|| {
        PluginError::unavailable(
            "all 4096 ranges of user ids are taken",
            "delete containers that are not needed, or make some with `unprivileged: false`",
        )
    })
}

fn lowest_free(taken: &BTreeSet<u32>, grants: &[(u64, u64)]) -> Option<u32> {
    let granted = |first: u32| {
        let range = (u64::from(first), u64::from(first) + u64::from(COUNT));
        grants
            .iter()
            .any(|grant| grant.0 < range.1 && range.0 < grant.1)
    };
    (FIRST..=LAST)
        .step_by(COUNT as usize)
        .find(|first| !taken.contains(first) && !granted(*first))
}

/// The ranges, as first and behind the last, that subuid(5) grants to others than root.
fn grants(text: &str) -> Vec<(u64, u64)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let user = fields.next().filter(|user| !matches!(*user, "root" | "0"));
            let first: u32 = user.and(fields.next())?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            Some((u64::from(first), u64::from(first) + u64::from(count)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lowest_free_range_is_taken_and_none_of_a_user() {
        let mut taken = BTreeSet::new();
        assert_eq!(lowest_free(&taken, &[]), Some(0x7000_0000));
        taken.extend([0x7000_0000, 0x7002_0000]);
        assert_eq!(lowest_free(&taken, &[]), Some(0x7001_0000));
        let grants = grants("# users\nana:1879113728:1\nroot:1879244800:65536\nbroken\n");
        assert_eq!(grants, [(0x7001_0000, 0x7001_0001)]);
        assert_eq!(lowest_free(&taken, &grants), Some(0x7003_0000));
    }

    #[test]
    fn there_are_4096_ranges() {
        let mut taken: BTreeSet<u32> = (FIRST..=LAST).step_by(COUNT as usize).collect();
        assert_eq!(taken.len(), 4096);
        assert_eq!(lowest_free(&taken, &[]), None);
        taken.remove(&0x7fff_0000);
        assert_eq!(lowest_free(&taken, &[]), Some(0x7fff_0000));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,80}") {
            grants(&text);
        }
    }
}
