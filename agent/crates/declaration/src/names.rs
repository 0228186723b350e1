//! Names that the kernel, Open vSwitch or the file system would otherwise reject, or worse, accept.
//!
//! Each name is a type of its own: what holds one has checked it, and no other code checks again.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{Rejected, Text};

/// A text is not a name of the kind that is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {accepted}: {reason}", .text.escape_debug())]
pub struct NameError {
    text: String,
    accepted: &'static str,
    reason: String,
}

/// What one kind of name may look like.
struct Rule {
    /// Bytes, which are characters too: all names are ASCII.
    longest: usize,
    /// What the name has to start with and that does not count as its first character.
    prefix: &'static str,
    first: fn(u8) -> bool,
    inner: fn(u8) -> bool,
    last: fn(u8) -> bool,
    reserved: &'static [&'static str],
    /// What the name has to end with, one of them; anything if there are none.
    suffixes: &'static [&'static str],
}

/// Bridges and links: what `dev_valid_name` of the kernel (net/core/dev.c) lets through in
/// `IFNAMSIZ` bytes less the closing zero, without the characters that tools trip over. `all` and
/// `default` are directories of `/proc/sys/net/ipv4/conf`.
const LINK: Rule = Rule {
    longest: 15,
    prefix: "",
    first: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
    inner: |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte),
    last: |_| true,
    reserved: &["all", "default"],
    suffixes: &[],
};

/// Containers: a DNS label (RFC 1035 §2.3.1, RFC 1123 §2.1), since the name is the host name too.
const CONTAINER: Rule = Rule {
    longest: 63,
    prefix: "",
    first: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
    inner: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
    last: |byte| byte != b'-',
    reserved: &[],
    suffixes: &[],
};

/// Templates: a directory name that no tool takes for an option or a hidden file.
const TEMPLATE: Rule = Rule {
    longest: 64,
    prefix: "",
    first: |byte| byte.is_ascii_alphanumeric(),
    inner: |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte),
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

/// Subvolumes: as templates, behind an `@`.
const SUBVOLUME: Rule = Rule {
    prefix: "@",
    ..TEMPLATE
};

/// Accounts: what useradd(8) accepts (`[a-z_][a-z0-9_-]*[$]?`), and the dots and capitals that directories give out.
const ACCOUNT: Rule = Rule {
    longest: 32,
    prefix: "",
    first: |byte| byte.is_ascii_alphabetic() || byte == b'_',
    inner: |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte),
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

/// Upstream servers: no `_`, so that the first one of a tool's name ends the prefix.
const UPSTREAM: Rule = Rule {
    longest: 16,
    prefix: "",
    first: |byte| byte.is_ascii_lowercase(),
    inner: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

/// Environment variables: a name of POSIX (IEEE Std 1003.1, section 3.216).
const VARIABLE: Rule = Rule {
    longest: 64,
    prefix: "",
    first: |byte| byte.is_ascii_alphabetic() || byte == b'_',
    inner: |byte| byte.is_ascii_alphanumeric() || byte == b'_',
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

/// Units: `VALID_CHARS_WITH_AT` and `UNIT_NAME_MAX` of systemd (src/basic/unit-name.c).
const UNIT: Rule = Rule {
    longest: 255,
    prefix: "",
    first: |byte| byte.is_ascii_alphanumeric() || b":_\\-".contains(&byte),
    inner: |byte| byte.is_ascii_alphanumeric() || b":_.\\@-".contains(&byte),
    last: |_| true,
    reserved: &[],
    suffixes: &[
        ".service",
        ".socket",
        ".target",
        ".device",
        ".mount",
        ".automount",
        ".swap",
        ".timer",
        ".path",
        ".slice",
        ".scope",
    ],
};

/// Packages: what the package managers of Debian, Fedora and Arch have in common, without what they take for
/// an option, a path, a pattern, an architecture or a version.
const PACKAGE: Rule = Rule {
    longest: 128,
    prefix: "",
    first: |byte| byte.is_ascii_alphanumeric(),
    inner: |byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte),
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

/// Versions of packages, with epochs and revisions.
const VERSION: Rule = Rule {
    inner: |byte| byte.is_ascii_alphanumeric() || b"_.+~^:-".contains(&byte),
    ..PACKAGE
};

/// Plugins made from a D-Bus service: a directory name, and a key of the declaration.
const PLUGIN: Rule = Rule {
    longest: 32,
    prefix: "",
    first: |byte| byte.is_ascii_lowercase(),
    inner: |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte),
    last: |_| true,
    reserved: &[],
    suffixes: &[],
};

impl Rule {
    /// Why the text breaks the rule.
    fn broken_by(&self, text: &str) -> Option<String> {
        let Some(name) = text.strip_prefix(self.prefix) else {
            return Some(format!("it does not start with `{}`", self.prefix));
        };
        let (Some(&first), Some(&last)) = (name.as_bytes().first(), name.as_bytes().last()) else {
            return Some("it is empty".to_owned());
        };
        if let Some(odd) = name
            .chars()
            .find(|&c| !u8::try_from(c).is_ok_and(|byte| byte.is_ascii() && (self.inner)(byte)))
        {
            return Some(match odd {
                ' ' => "it contains a space".to_owned(),
                _ => format!("it contains `{}`", odd.escape_debug()),
            });
        }
        if !(self.first)(first) {
            return Some(format!("it starts with `{}`", char::from(first)));
        }
        if !(self.last)(last) {
            return Some(format!("it ends with `{}`", char::from(last)));
        }
        if name.contains("..") {
            return Some("it contains `..`".to_owned());
        }
        let suffix = |suffix: &&str| {
            name.strip_suffix(*suffix)
                .is_some_and(|stem| !stem.is_empty())
        };
        if !self.suffixes.is_empty() && !self.suffixes.iter().any(suffix) {
            return Some(format!(
                "it does not end with `{}`",
                self.suffixes.join("`, `")
            ));
        }
        if text.len() > self.longest {
            return Some(format!(
                "it has {} characters, at most {} are allowed",
                text.len(),
                self.longest
            ));
        }
        self.reserved
            .contains(&text)
            .then(|| "the kernel keeps this name for itself".to_owned())
    }
}

/// The nearest good name, if only the case of the letters or a missing prefix is wrong.
fn nearest(rule: &Rule, text: &str) -> Option<String> {
    let suffix = rule.suffixes.first().copied().unwrap_or_default();
    [
        text.to_lowercase(),
        format!("{}{text}", rule.prefix),
        format!("{text}{suffix}"),
    ]
    .into_iter()
    .find(|candidate| rule.broken_by(candidate).is_none())
    .map(|candidate| format!("did you mean `{candidate}`?"))
}

macro_rules! name {
    ($(#[doc = $doc:literal])* $name:ident, $rule:expr, $pattern:literal, $accepted:literal) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                match $rule.broken_by(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(reason) => Err(NameError {
                        text: text.to_owned(),
                        accepted: $accepted,
                        reason,
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl Text<$name> for $name {
            const ACCEPTED: &'static str = $accepted;
            const PATTERN: &'static str = $pattern;

            fn read(text: &str) -> Result<$name, Rejected> {
                text.parse().map_err(|error: NameError| Rejected {
                    reason: Some(error.reason),
                    hint: nearest(&$rule, text),
                    ..Rejected::default()
                })
            }

            fn write(name: &$name) -> String {
                name.0.clone()
            }
        }
    };
}

name! {
    /// A subvolume directly under the base, such as `@cache`: an `@`, then a letter or digit, then
    /// letters, digits, `_`, `.` and `-`; at most 64 characters, no `..`.
    SubvolumeName, SUBVOLUME,
    r"^@[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.-]{0,62}$",
    "a subvolume name: `@`, then letters, digits, `_`, `.` and `-`, at most 64 characters"
}

name! {
    /// A bridge, such as `ovsbr0`: the rules are those of [`LinkName`], since it has a link of the
    /// same name.
    BridgeName, LINK,
    r"^(?!all$|default$)[A-Za-z0-9_](?!.*\.\.)[A-Za-z0-9_.-]{0,14}$",
    "a bridge name: letters, digits, `_`, `.` and `-`, at most 15 characters"
}

name! {
    /// A network link or port, such as `eth0`: 1 to 15 letters, digits, `_`, `.` and `-`, the first
    /// a letter, a digit or `_`; no `..`, and not `all` or `default`.
    LinkName, LINK,
    r"^(?!all$|default$)[A-Za-z0-9_](?!.*\.\.)[A-Za-z0-9_.-]{0,14}$",
    "a link name: letters, digits, `_`, `.` and `-`, at most 15 characters"
}

name! {
    /// A template, such as `debian-base`: a letter or digit, then letters, digits, `_`, `.` and
    /// `-`; at most 64 characters, no `..`.
    TemplateName, TEMPLATE,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.-]{0,63}$",
    "a template name: letters, digits, `_`, `.` and `-`, at most 64 characters"
}

name! {
    /// A container, such as `web-01`: a DNS label in small letters, 1 to 63 of a–z, 0–9 and `-`,
    /// neither beginning nor ending with `-`.
    ContainerName, CONTAINER,
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    "a container name: small letters, digits and `-`, at most 63 characters"
}

name! {
    /// A user or a group, such as `alice`: a letter or `_`, then letters, digits, `_`, `.` and `-`; at most
    /// 32 characters, no `..`.
    AccountName, ACCOUNT,
    r"^[A-Za-z_](?!.*\.\.)[A-Za-z0-9_.-]{0,31}$",
    "the name of a user or group: letters, digits, `_`, `.` and `-`, at most 32 characters"
}

name! {
    /// What a command is called by, such as `disk-usage`: the rules are those of [`TemplateName`].
    CommandName, TEMPLATE,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.-]{0,63}$",
    "a name for a command: letters, digits, `_`, `.` and `-`, at most 64 characters"
}

name! {
    /// What a token is called, such as `laptop`: the rules are those of [`TemplateName`].
    TokenName, TEMPLATE,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.-]{0,63}$",
    "a name for a token: letters, digits, `_`, `.` and `-`, at most 64 characters"
}

name! {
    /// What a witness is called here, such as `attic`: the rules are those of [`TemplateName`].
    WitnessName, TEMPLATE,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.-]{0,63}$",
    "a name for a witness: letters, digits, `_`, `.` and `-`, at most 64 characters"
}

name! {
    /// An upstream server, and the prefix of its tools, such as `files`: a small letter, then small letters and
    /// digits; at most 16 characters.
    UpstreamName, UPSTREAM,
    r"^[a-z][a-z0-9]{0,15}$",
    "a prefix for tools: a small letter, then small letters and digits, at most 16 characters"
}

name! {
    /// An environment variable, such as `LANG`: a letter or `_`, then letters, digits and `_`; at most 64
    /// characters.
    VariableName, VARIABLE,
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$",
    "the name of an environment variable: letters, digits and `_`, at most 64 characters"
}

name! {
    /// A unit of systemd with its suffix, such as `nginx.service`: letters, digits, `:`, `_`, `.`, `\\`, `@` and
    /// `-`; at most 255 characters, no `..`.
    UnitName, UNIT,
    r"^(?=.{1,255}$)(?!.*\.\.)[A-Za-z0-9:_\\-][A-Za-z0-9:_.\\@-]*\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope)$",
    "the name of a unit with its suffix, such as nginx.service, at most 255 characters"
}

name! {
    /// A package, such as `nginx`: a letter or digit, then letters, digits, `_`, `.`, `+` and `-`; at most
    /// 128 characters, no `..`.
    PackageName, PACKAGE,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.+-]{0,127}$",
    "the name of a package: letters, digits, `_`, `.`, `+` and `-`, at most 128 characters"
}

name! {
    /// A version of a package, such as `1:2.3-4`: a letter or digit, then letters, digits, `_`, `.`, `+`,
    /// `~`, `^`, `:` and `-`; at most 128 characters, no `..`.
    PackageVersion, VERSION,
    r"^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9_.+~^:-]{0,127}$",
    "the version of a package, such as 1.24.0-1, at most 128 characters"
}

name! {
    /// A plugin made from a D-Bus service, such as `hostname1`: a small letter, then small letters, digits, `_`
    /// and `-`; at most 32 characters.
    PluginName, PLUGIN,
    r"^[a-z][a-z0-9_-]{0,31}$",
    "the name of a plugin: small letters, digits, `_` and `-`, at most 32 characters"
}

impl From<&BridgeName> for LinkName {
    /// The bridge's own link, which carries its addresses.
    fn from(bridge: &BridgeName) -> Self {
        Self(bridge.0.clone())
    }
}
