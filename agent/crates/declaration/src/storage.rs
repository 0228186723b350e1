//! The section `btrfs`: where everything is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::define::record;
use crate::form::{Form, Rejected, Text};
use crate::names::SubvolumeName;
use crate::reader::Reader;
use crate::schema::Definitions;
use crate::size::{AtLeast, Size};
use crate::tree::{Node, Value, quote};
use crate::values::AbsolutePath;

record! {
    /// Subvolumes of a btrfs file system.
    pub struct Btrfs: Default {
        /// Where they are: a path, or a map with `path`, `image` and `size`.
        base: Base as PathOrBase = Base::default(),
        /// Subvolumes directly under the base, by name. They are added to the eight that are always
        /// there: `@cache`, `@timing` and `@vectors` with `zstd:3`, `@state`, `@snapshots`, `@plugins`,
        /// `@templates` and `@containers` with `zstd:1`.
        subvolumes: BTreeMap<SubvolumeName, Subvolume> as Subvolumes = standard_subvolumes(),
    }
}

record! {
    /// The directory that holds the subvolumes; it must be on btrfs.
    pub struct Base: Default {
        /// The directory, as an absolute path.
        path: PathBuf as AbsolutePath = PathBuf::from("/var/lib/op-dbus"),
        /// A file with a btrfs file system that is mounted at the path, for machines that have no
        /// other; made if it is not there. It must not lie below the path.
        image: Option<PathBuf> as Option<AbsolutePath> = None,
        /// How large the image is to be, at least 128 MiB. An image can grow, not shrink.
        size: Option<Size> as Option<AtLeast<128>> = None,
    }
}

record! {
    /// One subvolume.
    pub struct Subvolume: Default {
        /// What new data is compressed with: `none`, `lzo`, `zlib`, `zstd`, the last two also with a
        /// level as `zlib:1` to `zlib:9` and `zstd:1` to `zstd:15`. With null, whatever the mount
        /// options say; without it too, but one of the eight has its own default.
        compression: Option<Compression> = None,
        /// Take the subvolume over if it exists and is not ours.
        adopt: bool = false,
    }
}

/// What btrfs compresses new data with: the value of the property `btrfs.compression`.
///
/// Levels as in btrfs(5): zlib 1 to 9, zstd 1 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all, whatever the mount options say.
    None,
    /// LZO: fast, compresses little.
    Lzo,
    /// Zlib, level 1 to 9.
    Zlib(Option<u8>),
    /// Zstandard, level 1 to 15.
    Zstd(Option<u8>),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lzo => f.write_str("lzo"),
            Self::Zlib(None) => f.write_str("zlib"),
            Self::Zstd(None) => f.write_str("zstd"),
            Self::Zlib(Some(level)) => write!(f, "zlib:{level}"),
            Self::Zstd(Some(level)) => write!(f, "zstd:{level}"),
        }
    }
}

/// The text is not a compression of btrfs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a compression: expected {}", quote(.0), Compression::ACCEPTED)]
pub struct CompressionError(String);

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let (algorithm, level) = match text.split_once(':') {
            Some((algorithm, level)) => (algorithm, Some(level)),
            None => (text, None),
        };
        let level = level.map(|digits| match digits.as_bytes() {
            [b'1'..=b'9'] | [b'1', b'0'..=b'9'] => digits.parse().unwrap_or_default(),
            _ => 0,
        });
        match (algorithm, level) {
            ("none", None) => Ok(Self::None),
            ("lzo", None) => Ok(Self::Lzo),
            ("zlib", None | Some(1..=9)) => Ok(Self::Zlib(level)),
            ("zstd", None | Some(1..=15)) => Ok(Self::Zstd(level)),
            _ => Err(CompressionError(text.to_owned())),
        }
    }
}

impl Serialize for Compression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Text<Compression> for Compression {
    const ACCEPTED: &'static str =
        "`none`, `lzo`, `zlib`, `zlib:1` to `zlib:9`, `zstd`, `zstd:1` to `zstd:15`";
    const PATTERN: &'static str = "^(none|lzo|zlib(:[1-9])?|zstd(:([1-9]|1[0-5]))?)$";

    fn read(text: &str) -> Result<Compression, Rejected> {
        text.parse().map_err(|_| Rejected::default())
    }

    fn write(value: &Compression) -> String {
        value.to_string()
    }
}

/// The eight subvolumes that every host has, with their compression.
pub(crate) fn standard_subvolumes() -> BTreeMap<SubvolumeName, Subvolume> {
    const STANDARD: [(&str, u8); 8] = [
        ("@cache", 3),
        ("@timing", 3),
        ("@vectors", 3),
        ("@state", 1),
        ("@snapshots", 1),
        ("@plugins", 1),
        ("@templates", 1),
        ("@containers", 1),
    ];
    STANDARD
        .into_iter()
        .filter_map(|(name, level)| {
            let subvolume = Subvolume {
                compression: Some(Compression::Zstd(Some(level))),
                adopt: false,
            };
            Some((name.parse().ok()?, subvolume))
        })
        .collect()
}

/// A base, written as its path alone or as a map.
struct PathOrBase;

impl Form<Base> for PathOrBase {
    fn accepted() -> String {
        "an absolute path, or a map with the keys `path`, `image`, `size`".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Base> {
        match node.value {
            Value::Text(_) => {
                let path = AbsolutePath::decode(node, reader)?;
                Some(Base {
                    path,
                    ..Base::default()
                })
            }
            Value::Map(_) => Base::decode(node, reader),
            _ => {
                reader.wrong::<Base, Self>(node);
                None
            }
        }
    }

    fn encode(base: &Base) -> Json {
        match base {
            Base {
                path,
                image: None,
                size: None,
            } => AbsolutePath::encode(path),
            _ => Base::encode(base),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [AbsolutePath::schema(definitions), Base::schema(definitions)] })
    }
}

/// Subvolumes, with the eight standard ones added. What is declared of one of these goes over its
/// default.
struct Subvolumes;

type SubvolumeMap = BTreeMap<SubvolumeName, Subvolume>;

impl Form<SubvolumeMap> for Subvolumes {
    fn accepted() -> String {
        SubvolumeMap::accepted()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<SubvolumeMap> {
        let mut subvolumes = SubvolumeMap::decode(node, reader)?;
        for (name, standard) in standard_subvolumes() {
            let declared = node.get(name.as_str());
            match subvolumes.get_mut(&name) {
                Some(subvolume) => {
                    if declared.is_none_or(|node| node.get("compression").is_none()) {
                        subvolume.compression = standard.compression;
                    }
                }
                None => {
                    subvolumes.insert(name, standard);
                }
            }
        }
        Some(subvolumes)
    }

    /// A standard subvolume without a compression says so, since leaving it out means the default.
    fn encode(subvolumes: &SubvolumeMap) -> Json {
        let standard = standard_subvolumes();
        let mut object = SubvolumeMap::encode(subvolumes);
        for (name, subvolume) in subvolumes {
            if subvolume.compression.is_none() && standard.contains_key(name) {
                object[name.as_str()]["compression"] = Json::Null;
            }
        }
        object
    }

    fn schema(definitions: &mut Definitions) -> Json {
        SubvolumeMap::schema(definitions)
    }
}
