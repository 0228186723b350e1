//! How people name what is to be looked at.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// What comes in.
    Stdin,
    /// An http or https URL.
    Url(String),
    /// An object on the system bus: its properties.
    Dbus {
        /// The bus name.
        name: String,
        /// The object's path.
        path: String,
        /// One interface; all of them if there is none.
        interface: Option<String>,
    },
    /// A container by its name.
    Lxc(String),
    /// An OCI layout, or an archive of an image.
    Oci(PathBuf),
}

impl FromStr for Place {
    type Err = Error;

    /// A path, `-`, `https://…`, `dbus:NAME:/path[:interface]`, `lxc:NAME` or `oci:PATH`. A path that looks like one of
    /// the others is written with `./`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |reason: &str| Err(Error::syntax("source", reason));
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if text.is_empty() || text.contains('\0') {
            return wrong("it is empty, or has a NUL in it");
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Url(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("lxc", name)) => Ok(Self::Lxc(name.to_owned())),
            Some(("oci", path)) => Ok(Self::Oci(PathBuf::from(path))),
            Some(("dbus", rest)) => {
                let mut parts = rest.splitn(3, ':');
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(name), Some(path), interface)
                        if !name.is_empty() && path.starts_with('/') =>
                    {
                        Ok(Self::Dbus {
                            name: name.to_owned(),
                            path: path.to_owned(),
                            interface: interface.map(str::to_owned),
                        })
                    }
                    _ => wrong(
                        "an object on the bus is written dbus:NAME:/path or dbus:NAME:/path:interface",
                    ),
                }
            }
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        assert_eq!(place("-"), Place::Stdin);
        assert_eq!(place("a:b"), Place::File("a:b".into()));
        assert_eq!(place("./lxc:web"), Place::File("./lxc:web".into()));
        assert_eq!(place("lxc:web"), Place::Lxc("web".to_owned()));
        assert_eq!(place("oci:/a.tar"), Place::Oci("/a.tar".into()));
        assert_eq!(place("https://a/b"), Place::Url("https://a/b".to_owned()));
        let object = |interface: Option<&str>| Place::Dbus {
            name: "org.a.B".to_owned(),
            path: "/org/a".to_owned(),
            interface: interface.map(str::to_owned),
        };
        assert_eq!(place("dbus:org.a.B:/org/a"), object(None));
        assert_eq!(
            place("dbus:org.a.B:/org/a:org.a.I"),
            object(Some("org.a.I"))
        );
        for bad in ["", "dbus:org.a.B", "dbus::/a", "dbus:a:b"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
