//! What a method does to the host, as far as that can be known, and what the operator allows.

use std::collections::BTreeMap;
use std::str::FromStr;

use introspect::dbus::Method;
use serde::Deserialize;
use tools::sounds_secret;

/// What calling a method, or setting a property, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// It changes nothing.
    Read,
    /// It changes something that can be changed back.
    Write,
    /// It changes something, and nobody knows what.
    Unknown,
    /// Something may be lost for good.
    Destroy,
}

/// How names of methods begin that only look.
const LOOKS: [&str; 10] = [
    "Get", "List", "Describe", "Lookup", "Find", "Search", "Query", "Is", "Has", "Can",
];

/// How names of methods begin that lose something.
const LOSES: [&str; 14] = [
    "Delete",
    "Remove",
    "Destroy",
    "Purge",
    "Wipe",
    "Erase",
    "Format",
    "Kill",
    "Terminate",
    "PowerOff",
    "Reboot",
    "Halt",
    "KExec",
    "FactoryReset",
];

/// What is known of a method by its annotations and its name; a look that gives out secrets takes leave too. The
/// service may lie; this decides only whether the
/// operator's leave is needed, never that it is not where a name says nothing.
fn guessed(method: &Method) -> Kind {
    let name = method.name.as_str();
    let begins = |with: &&str| {
        let rest = name.strip_prefix(with);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    if LOSES.iter().any(begins) {
        Kind::Destroy
    } else if LOOKS.iter().any(begins)
        && !sounds_secret(name)
        && !method.is_privileged()
        && !method.is_no_reply()
    {
        Kind::Read
    } else {
        Kind::Unknown
    }
}

/// What people know of methods, by interface and member, in TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<String, BTreeMap<String, Kind>>);

/// A file of overrides that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("not a file of overrides: {0}")]
pub struct BadOverrides(String);

impl FromStr for Overrides {
    type Err = BadOverrides;

    /// Reads `["org.example.Interface"]` tables of `Member = "read" | "write" | "unknown" | "destroy"`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        toml::from_str(text).map_err(|error| BadOverrides(error.to_string()))
    }
}

impl Overrides {
    /// Those that come with the program.
    pub fn built_in() -> Result<Self, BadOverrides> {
        include_str!("overrides.toml").parse()
    }

    /// Takes in others, which win.
    pub fn extend(&mut self, others: Self) {
        for (interface, members) in others.0 {
            self.0.entry(interface).or_default().extend(members);
        }
    }

    /// What a method does.
    pub(super) fn kind(&self, interface: &str, method: &Method) -> Kind {
        let known = self.0.get(interface);
        let known = known.and_then(|members| members.get(method.name.as_str()));
        known.copied().unwrap_or_else(|| guessed(method))
    }
}

/// What the operator allows beside reading: patterns over `interface.Member`, where `*` stands for any text
/// and `?` for one character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow(Vec<String>);

impl Allow {
    /// Allows what any of the patterns fits.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether nothing is allowed.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn allows(&self, interface: &str, member: &str) -> bool {
        let name = format!("{interface}.{member}");
        self.0
            .iter()
            .any(|pattern| fits(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Whether a name fits a pattern; linear but for the last star, so that no pattern takes long.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use introspect::dbus::xml;

    use super::*;

    fn kind(interface: &str, method: &str) -> Kind {
        let text = format!("<node><interface name='{interface}'>{method}</interface></node>");
        let parsed = xml::parse(&text, &xml::Limits::default()).unwrap();
        let overrides = Overrides::built_in().unwrap();
        overrides.kind(interface, &parsed.node.interfaces[0].methods[0])
    }

    #[test]
    fn names_and_annotations_tell() {
        let privileged = "<annotation name='org.freedesktop.systemd1.Privileged' value='true'/>";
        let silent = "<annotation name='org.freedesktop.DBus.Method.NoReply' value='true'/>";
        let cases = [
            ("<method name='GetThing'/>".to_owned(), Kind::Read),
            ("<method name='List'/>".to_owned(), Kind::Read),
            ("<method name='Getaway'/>".to_owned(), Kind::Unknown),
            // UDisks2's, of `org.freedesktop.UDisks2.Block`.
            (
                "<method name='GetSecretConfiguration'/>".to_owned(),
                Kind::Unknown,
            ),
            ("<method name='Issue'/>".to_owned(), Kind::Unknown),
            ("<method name='Do'/>".to_owned(), Kind::Unknown),
            ("<method name='DeleteThing'/>".to_owned(), Kind::Destroy),
            (
                "<method name='PowerOffWithFlags'/>".to_owned(),
                Kind::Destroy,
            ),
            (
                format!("<method name='GetThing'>{privileged}</method>"),
                Kind::Unknown,
            ),
            (
                format!("<method name='GetThing'>{silent}</method>"),
                Kind::Unknown,
            ),
        ];
        for (method, expected) in cases {
            assert_eq!(kind("org.example.Thing", &method), expected, "{method}");
        }
    }

    #[test]
    fn what_is_known_of_a_method_wins() {
        let get_secrets = "<method name='GetSecrets'/>";
        let connection = "org.freedesktop.NetworkManager.Settings.Connection";
        assert_eq!(kind(connection, get_secrets), Kind::Unknown);
        let restart = "<method name='RestartUnit'/>";
        assert_eq!(
            kind("org.freedesktop.systemd1.Manager", restart),
            Kind::Write
        );
        assert!("[a]\nb = \"fine\"".parse::<Overrides>().is_err());
        let own: Overrides = "[\"a.b\"]\nDo = \"read\"".parse().unwrap();
        let mut all = Overrides::built_in().unwrap();
        all.extend(own);
        assert_eq!(all.0["a.b"]["Do"], Kind::Read);
    }

    #[test]
    fn patterns_fit_whole_names() {
        let allow = |pattern: &str| Allow::new([pattern.to_owned()]);
        assert!(allow("*").allows("a.b", "C"));
        assert!(allow("a.b.*").allows("a.b", "C"));
        assert!(allow("*.?").allows("a.b", "C"));
        assert!(allow("a*b*C").allows("a.b", "C"));
        assert!(!allow("a.b").allows("a.b", "C"));
        assert!(!allow("a.b.c").allows("a.b", "C"));
        assert!(!allow("").allows("a.b", "C"));
        assert!(!Allow::default().allows("a.b", "C"));
        let hard = "*a".repeat(2000);
        assert!(!allow(&hard).allows(&"a".repeat(1000), "b"));
    }
}
