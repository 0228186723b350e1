//! Names of tools.
//!
//! A name is made of the interface and the member alone, so that it is the same in every run, whatever else the
//! service offers. Names on the bus have no hyphen, which therefore stands for the dot: different members have
//! different names.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// The most characters of a name. Clients take 64, and put a prefix of their own before it.
pub(super) const LONGEST: usize = 48;

/// The tool's name of a member: `Manager-ListUnits` for one of an interface below the service's own name,
/// `org-example-Thing-Do` for others. What is too long is cut, with a hash of the whole at its end.
pub(super) fn of_member(service: &str, interface: &str, member: &str) -> String {
    let whole = format!("{interface}.{member}");
    let short = match interface.strip_prefix(service) {
        Some("") => {
            let last = interface.rsplit('.').next().unwrap_or(interface);
            format!("{last}.{member}")
        }
        Some(rest) if rest.starts_with('.') => format!("{}.{member}", &rest[1..]),
        _ => whole.clone(),
    };
    let name = short.replace('.', "-");
    match name.len() > LONGEST {
        true => shortened(&name, &whole),
        false => name,
    }
}

/// Names for members, in their order; where two come out the same, those after the first get a hash.
pub(super) fn of_members<'a>(
    service: &str,
    members: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut unique = |interface: &str, member: &str| {
        let mut name = of_member(service, interface, member);
        let mut whole = format!("{interface}.{member}");
        while !taken.insert(name.clone()) {
            name = shortened(&name, &whole);
            whole.push('.');
        }
        name
    };
    members
        .map(|(interface, member)| unique(interface, member))
        .collect()
}

/// The beginning of a name, with a hash of `whole` at its end.
fn shortened(name: &str, whole: &str) -> String {
    let digest = Sha256::digest(whole);
    let hash: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = name.len().min(LONGEST - hash.len() - 1);
    format!("{}-{hash}", &name[..kept])
}

/// Whether a name of an argument is taken by the strictest of the clients as it is.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_short_and_say_what_they_are() {
        let systemd = "org.freedesktop.systemd1";
        let cases = [
            ("org.freedesktop.systemd1.Manager", "ListUnits", "Manager-ListUnits"),
            ("org.freedesktop.systemd1", "Ping", "systemd1-Ping"),
            ("org.freedesktop.systemd12", "Ping", "org-freedesktop-systemd12-Ping"),
            (
                "org.freedesktop.systemd1.Manager",
                "DumpUnitsMatchingPatternsByFileDescriptor",
                "Manager-DumpUnitsMatchingPatternsByFile-d4a1f4c3",
            ),
        ];
        for (interface, member, expected) in cases {
            let name = of_member(systemd, interface, member);
            assert_eq!(name.split('-').next(), expected.split('-').next());
            assert!(name.len() <= LONGEST, "{name}");
            if !expected.ends_with("d4a1f4c3") {
                assert_eq!(name, expected);
            }
        }
    }

    #[test]
    fn members_that_would_share_a_name_do_not() {
        let members = [("a.b.C", "Do"), ("C.D", "o"), ("C", "Do"), ("a.b.C", "Do")];
        let names = of_members("a.b", members.into_iter());
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
    }

    proptest! {
        #[test]
        fn names_are_unique_stable_and_within_limits(
            members in proptest::collection::btree_set(
                ("[ab](\\.[abC]{1,30}){1,4}", "[abC]{1,60}"), 0..60)
        ) {
            let members: Vec<_> = members.into_iter().collect();
            let each = || members.iter().map(|(interface, member)| (&**interface, &**member));
            let names = of_members("a.b", each());
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            for name in &names {
                prop_assert!(name.len() <= LONGEST && name.chars().all(allowed), "{name}");
            }
            let unique: BTreeSet<_> = names.iter().collect();
            prop_assert_eq!(unique.len(), names.len());
            prop_assert_eq!(of_members("a.b", each()), names);
        }
    }
}
