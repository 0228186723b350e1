//! The marks of templates and containers: what is ours, and which user ids a container has.

use std::path::Path;

use reconcile::PluginError;

use crate::mark;

/// What a subvolume is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Template,
    Container,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Container => "container",
        }
    }
}

/// A mark that holds: it names its subvolume by UUID. A snapshot carries the mark of its origin and is
/// therefore neither the same template nor the same container, nor ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The first of the container's 65536 user ids; `None` for templates and privileged containers.
    pub(super) first_id: Option<u32>,
}

impl Seal {
    /// The mark on the subvolume at `path`, if there is one and it holds.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PluginError> {
        let failed =
            |error| PluginError::failed(format!("read the mark of {}", path.display()), error);
        let text = match mark::read(path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let Some((seal, uuid)) = Self::parse(&text) else {
            return Ok(None);
        };
        Ok((uuid_of(path)?.as_deref() == Some(uuid)).then_some(seal))
    }

    /// Puts the mark on the subvolume at `path`.
    pub(super) fn write(&self, path: &Path) -> Result<(), PluginError> {
        let failed =
            |error: std::io::Error| PluginError::failed(format!("mark {}", path.display()), error);
        let uuid = uuid_of(path)?.ok_or_else(|| failed(std::io::ErrorKind::Unsupported.into()))?;
        mark::write(path, &self.text(&uuid)).map_err(failed)
    }

    fn text(&self, uuid: &str) -> String {
        let first = self
            .first_id
            .map_or("-".to_owned(), |first| first.to_string());
        format!("{} {} {uuid} {first}", self.kind.word(), self.name)
    }

    fn parse(text: &str) -> Option<(Self, &str)> {
        let mut words = text.split(' ');
        let kind = match words.next()? {
            "template" => Kind::Template,
            "container" => Kind::Container,
            _ => return None,
        };
        let name = words.next()?.to_owned();
        let uuid = words.next()?;
        let first_id = match words.next()? {
            "-" => None,
            digits => Some(digits.parse().ok()?),
        };
        let seal = Self {
            kind,
            name,
            first_id,
        };
        words.next().is_none().then_some((seal, uuid))
    }
}

/// The UUID of the subvolume at `path`; `None` if it is something else, or not there any more.
pub(super) fn uuid_of(path: &Path) -> Result<Option<String>, PluginError> {
    match btrfs::info(path) {
        Ok(info) => Ok(info.uuid.map(|uuid| uuid.to_string())),
        Err(btrfs::Error::NotSubvolume { .. } | btrfs::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(PluginError::failed(
            format!("look at {}", path.display()),
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mark_reads_as_it_was_written() {
        for first_id in [None, Some(0x7000_0000)] {
            let seal = Seal {
                kind: Kind::Container,
                name: "web-01".to_owned(),
                first_id,
            };
            assert_eq!(Seal::parse(&seal.text("u-u")), Some((seal, "u-u")));
        }
    }

    proptest! {
        #[test]
        fn any_other_text_is_no_mark_or_its_own(text in "(template|container|) ?[ -~]{0,40}") {
            if let Some((seal, uuid)) = Seal::parse(&text) {
                // Numbers may be written with a sign or zeros in front; nothing else is lost.
                let written = seal.text(uuid);
                prop_assert_eq!(Seal::parse(&written), Some((seal, uuid)));
            }
        }
    }
}
