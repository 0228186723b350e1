//! What has to be sent, and what each stream builds on. Pure.

use std::path::PathBuf;

use btrfs::Uuid;

use crate::error::{Error, Result};
use crate::local::{Snapshot, Subvolume};
use crate::name::Name;
use crate::wire::Held;

/// What is wanted at the far end.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// This snapshot alone; without it, all that are newer than the newest one that both ends have.
    pub only: Option<Name>,
    /// These subvolumes of each snapshot; all if there are none.
    pub subvolumes: Vec<Name>,
    /// No more than the newest so many.
    pub keep: Option<u32>,
}

/// What is to be done, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The snapshots to send, the oldest first.
    pub steps: Vec<Step>,
    /// The newest snapshot that both ends have once that is done: the next one builds on it.
    pub common: Option<Name>,
}

/// A snapshot to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub snapshot: Name,
    /// When it was taken, in seconds since 1970-01-01 UTC.
    pub taken: u64,
    /// Its subvolumes.
    pub transfers: Vec<Transfer>,
}

/// A subvolume to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its name.
    pub subvolume: Name,
    /// Where it is.
    pub path: PathBuf,
    /// What the far end has to know it by.
    pub identity: Uuid,
    /// What the stream builds on: a snapshot's name, its subvolume's place here, and its identity.
    pub parent: Option<(Name, PathBuf, Uuid)>,
}

/// Finds out what is missing at the far end, and what each stream of it can build on.
pub fn plan(local: &[Snapshot], held: &[Held], want: &Want) -> Result<Plan> {
    let wanted = |subvolume: &&Subvolume| {
        want.subvolumes.is_empty() || want.subvolumes.contains(&subvolume.name)
    };
    let mut present: Vec<(&Name, &Subvolume)> = Vec::new();
    let mut common = None;
    let mut missing = Vec::new();
    for snapshot in local {
        let subvolumes: Vec<_> = snapshot.subvolumes.iter().filter(wanted).collect();
        if subvolumes.is_empty() {
            continue;
        }
        let there = |subvolume: &&Subvolume| holds(held, subvolume.identity);
        present.extend(
            subvolumes
                .iter()
                .filter(|it| there(it))
                .map(|it| (&snapshot.name, *it)),
        );
        match held.iter().find(|held| held.name == snapshot.name) {
            Some(other) if is_same(snapshot, other) => {
                common = Some(snapshot.name.clone());
                // What is older was either sent, or not wanted any more.
                missing.clear();
            }
            Some(_) if want.only.as_ref().is_none_or(|only| *only == snapshot.name) => {
                return Err(Error::Refused(format!(
                    "the far end has another snapshot of the name {}, or changed that one: each host needs a directory \
                     of its own there; delete the one that is wrong",
                    snapshot.name
                )));
            }
            Some(_) => {}
            None => missing.push((snapshot, subvolumes)),
        }
    }
    if let Some(only) = &want.only {
        let known = local.iter().any(|snapshot| snapshot.name == *only);
        if !known {
            return Err(Error::NotFound(format!(
                "there is no snapshot {only}: `op-dbus snapshot list` shows those there are"
            )));
        }
        let held = held.iter().any(|held| held.name == *only);
        missing = local
            .iter()
            .filter(|snapshot| snapshot.name == *only && !held)
            .map(|snapshot| {
                (
                    snapshot,
                    snapshot.subvolumes.iter().filter(wanted).collect(),
                )
            })
            .collect();
    } else if let Some(keep) = want.keep {
        let surplus = missing.len().saturating_sub(keep.max(1) as usize);
        missing.drain(..surplus);
    }
    let mut steps = Vec::new();
    for (snapshot, subvolumes) in missing {
        let transfers = subvolumes.iter().map(|subvolume| Transfer {
            subvolume: subvolume.name.clone(),
            path: subvolume.path.clone(),
            identity: subvolume.identity,
            parent: parent(subvolume, &present)
                .map(|(name, parent)| (name.clone(), parent.path.clone(), parent.identity)),
        });
        steps.push(Step {
            snapshot: snapshot.name.clone(),
            taken: snapshot.taken,
            transfers: transfers.collect(),
        });
        present.extend(subvolumes.iter().map(|it| (&snapshot.name, *it)));
        common = Some(snapshot.name.clone());
    }
    steps.retain(|step| !step.transfers.is_empty());
    Ok(Plan { steps, common })
}

/// Whether the far end has it as it was sent.
fn holds(held: &[Held], identity: Uuid) -> bool {
    let mut subvolumes = held.iter().flat_map(|held| &held.subvolumes);
    subvolumes.any(|it| it.intact && it.received == Some(identity))
}

/// Whether what the far end has under a name is of this snapshot: all of it, whatever else may be in the snapshot here.
fn is_same(snapshot: &Snapshot, held: &Held) -> bool {
    let known = |identity: Uuid| snapshot.subvolumes.iter().any(|it| it.identity == identity);
    !held.subvolumes.is_empty()
        && held
            .subvolumes
            .iter()
            .all(|it| it.intact && it.received.is_some_and(known))
}

/// The nearest one that both ends have: of the same origin before others of the same name, the newest that is older
/// before the oldest that is newer.
fn parent<'a>(
    subvolume: &Subvolume,
    present: &[(&'a Name, &'a Subvolume)],
) -> Option<(&'a Name, &'a Subvolume)> {
    let candidates = present
        .iter()
        .filter(|(_, it)| it.name == subvolume.name && it.identity != subvolume.identity);
    candidates
        .min_by_key(|(_, it)| {
            // Of one origin; or one was itself the origin of the other, until a restore exchanged it out.
            let kin = it.origin.is_some() && it.origin == subvolume.origin
                || it.origin == Some(subvolume.identity)
                || subvolume.origin == Some(it.identity);
            let stranger = !kin;
            let newer = it.generation > subvolume.generation;
            (
                stranger,
                newer,
                it.generation.abs_diff(subvolume.generation),
            )
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::HeldSubvolume;

    fn uuid(number: u8) -> Uuid {
        format!("{number:02x}000000-0000-0000-0000-000000000001")
            .parse()
            .unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn snapshot(number: u8, origin: u8) -> Snapshot {
        Snapshot {
            name: name(&format!("s{number}")),
            taken: number.into(),
            subvolumes: vec![Subvolume {
                name: name("@timing"),
                path: format!("/s{number}/@timing").into(),
                identity: uuid(number),
                origin: Some(uuid(origin)),
                generation: u64::from(number) * 10,
            }],
        }
    }

    fn held(number: u8) -> Held {
        Held {
            name: name(&format!("s{number}")),
            taken: number.into(),
            subvolumes: vec![HeldSubvolume {
                name: name("@timing"),
                received: Some(uuid(number)),
                intact: true,
            }],
        }
    }

    fn steps(plan: &Plan) -> Vec<(&str, Option<&str>)> {
        let mut found = Vec::new();
        for step in &plan.steps {
            let parent = step.transfers[0].parent.as_ref();
            found.push((
                step.snapshot.as_str(),
                parent.map(|(name, ..)| name.as_str()),
            ));
        }
        found
    }

    #[test]
    fn the_first_is_whole_and_each_further_one_builds_on_the_one_before() {
        let local = [snapshot(1, 200), snapshot(2, 200), snapshot(3, 200)];
        let all = plan(&local, &[], &Want::default()).unwrap();
        assert_eq!(
            steps(&all),
            [("s1", None), ("s2", Some("s1")), ("s3", Some("s2"))]
        );
        assert_eq!(all.common, Some(name("s3")));
        let rest = plan(&local, &[held(1)], &Want::default()).unwrap();
        assert_eq!(steps(&rest), [("s2", Some("s1")), ("s3", Some("s2"))]);
        let none = plan(&local, &[held(3)], &Want::default()).unwrap();
        assert_eq!(
            (steps(&none), none.common.as_ref()),
            (vec![], Some(&name("s3")))
        );
    }

    #[test]
    fn a_name_says_nothing() {
        let local = [snapshot(1, 200), snapshot(2, 200)];
        // Held under another name, it can be built on all the same.
        let mut other = held(1);
        other.name = name("renamed");
        let found = plan(&local, &[other], &Want::default()).unwrap();
        assert_eq!(steps(&found), [("s1", None), ("s2", Some("s1"))]);
        // Another one of the same name.
        let mut other = held(9);
        other.name = name("s1");
        let error = plan(&local, &[other.clone()], &Want::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("another snapshot of the name s1")
        );
        // One that was changed there is nothing to build on.
        let mut changed = held(1);
        changed.subvolumes[0].intact = false;
        let only = Want {
            only: Some(name("s2")),
            ..Want::default()
        };
        assert_eq!(
            steps(&plan(&local, &[changed], &only).unwrap()),
            [("s2", None)]
        );
    }

    #[test]
    fn the_nearest_of_the_same_origin_is_built_on() {
        // s3 was restored into place, so that s4 and s5 have another origin.
        let local: Vec<_> = [(1, 200), (2, 200), (4, 201), (5, 201)]
            .map(|(number, origin)| snapshot(number, origin))
            .into();
        let only = |number: u8| Want {
            only: Some(name(&format!("s{number}"))),
            ..Want::default()
        };
        let at = |held: &[Held], number| {
            let found = plan(&local, held, &only(number)).unwrap();
            let parent = found.steps[0].transfers[0].parent.clone();
            parent.map(|(name, ..)| name.to_string())
        };
        assert_eq!(at(&[held(1), held(4)], 5).as_deref(), Some("s4"));
        assert_eq!(at(&[held(1), held(5)], 4).as_deref(), Some("s5"));
        assert_eq!(at(&[held(1), held(2)], 5).as_deref(), Some("s2"));
        assert_eq!(at(&[], 5), None);
    }

    #[test]
    fn what_would_be_pruned_is_not_sent() {
        let local: Vec<_> = (1..=9).map(|number| snapshot(number, 200)).collect();
        let want = Want {
            keep: Some(2),
            ..Want::default()
        };
        let found = plan(&local, &[], &want).unwrap();
        assert_eq!(steps(&found), [("s8", None), ("s9", Some("s8"))]);
        let missing = Want {
            only: Some(name("gone")),
            ..Want::default()
        };
        assert!(matches!(
            plan(&local, &[], &missing),
            Err(Error::NotFound(_))
        ));
    }

    proptest! {
        /// Whatever both ends have: nothing is sent twice, and each stream builds on what is there before it.
        #[test]
        fn each_parent_is_there_first(
            have in proptest::collection::btree_set(1_u8..40, 0..20),
            there in proptest::collection::btree_set(1_u8..40, 0..20),
            keep in proptest::option::of(1_u32..10),
        ) {
            let local: Vec<_> = have.iter().map(|number| snapshot(*number, 200)).collect();
            let held: Vec<_> = there.iter().map(|number| held(*number)).collect();
            let found = plan(&local, &held, &Want { keep, ..Want::default() }).unwrap();
            let mut present: Vec<_> = there.intersection(&have).map(|number| uuid(*number)).collect();
            for step in &found.steps {
                let transfer = &step.transfers[0];
                prop_assert!(!present.contains(&transfer.identity));
                match &transfer.parent {
                    Some((.., parent)) => prop_assert!(present.contains(parent)),
                    None => prop_assert!(present.is_empty()),
                }
                present.push(transfer.identity);
            }
            let newest = have.last().map(|number| uuid(*number));
            prop_assert!(newest.is_none_or(|newest| present.contains(&newest)));
        }
    }
}
