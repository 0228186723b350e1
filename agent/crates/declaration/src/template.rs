//! What containers are made from.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::define::{encode_field, record, words};
use crate::form::{Form, Rejected, Text};
use crate::problem::Step;
use crate::reader::Reader;
use crate::schema::{Definitions, Kind};
use crate::tree::{Node, Value};
use crate::values::AbsolutePath;

/// A root file system that containers are made from.
///
/// Written as a map: the name of the recipe, what the recipe needs, and `adopt`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    /// How it is made.
    pub recipe: Recipe,
    /// Take the template over if it exists and is not ours.
    pub adopt: bool,
}

/// How a template is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recipe {
    /// From the busybox of the host: seconds, nothing is downloaded.
    Busybox,
    /// A minimal Debian.
    Debian(Bootstrap),
    /// A minimal Ubuntu.
    Ubuntu(Bootstrap),
    /// A root file system in a tar archive.
    Tarball {
        /// The archive, as an absolute path.
        path: PathBuf,
        /// The SHA-256 of the archive: 64 hexadecimal digits in small letters.
        sha256: String,
    },
}

/// What a Debian or Ubuntu is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bootstrap {
    /// The suite, such as `bookworm` or `noble`.
    pub suite: String,
    /// Packages that are installed besides the minimal system.
    pub packages: Vec<String>,
    /// Where packages are fetched from; the distribution's own mirror if it is not given.
    pub mirror: Option<String>,
}

words! {
    /// The name of a recipe.
    enum RecipeName {
        /// From the busybox of the host.
        Busybox = "busybox",
        /// A minimal Debian.
        Debian = "debian",
        /// A minimal Ubuntu.
        Ubuntu = "ubuntu",
        /// A root file system in a tar archive.
        Tarball = "tarball",
    }
}

record! {
    /// A template from the busybox of the host: made in a second, nothing is downloaded.
    struct BusyboxTemplate {
        /// The recipe.
        recipe: RecipeName,
        /// Take the template over if it exists and is not ours.
        adopt: bool = false,
    }
}

record! {
    /// A template with a minimal Debian or Ubuntu.
    struct BootstrapTemplate {
        /// The recipe.
        recipe: RecipeName,
        /// The suite; `bookworm` for Debian and `noble` for Ubuntu, if it is not given.
        suite: Option<String> as Option<Suite> = None,
        /// Packages that are installed besides the minimal system.
        packages: Vec<String> as Vec<Package> = Vec::new(),
        /// Where packages are fetched from; the distribution's own mirror if it is not given.
        mirror: Option<String> as Option<Mirror> = None,
        /// Take the template over if it exists and is not ours.
        adopt: bool = false,
    }
}

record! {
    /// A template from a tar archive of a root file system.
    struct TarballTemplate {
        /// The recipe.
        recipe: RecipeName,
        /// The archive, as an absolute path.
        path: PathBuf as AbsolutePath,
        /// The SHA-256 of the archive, in hexadecimal digits.
        sha256: String as Sha256Digits,
        /// Take the template over if it exists and is not ours.
        adopt: bool = false,
    }
}

impl Form<Template> for Template {
    fn accepted() -> String {
        format!("a map with the key `recipe`: {}", RecipeName::accepted())
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Template> {
        if !matches!(node.value, Value::Map(_)) {
            reader.wrong::<Template, Self>(node);
            return None;
        }
        let Some(name) = node.get("recipe") else {
            reader.missing("recipe", RecipeName::accepted());
            return None;
        };
        match reader.step::<RecipeName, RecipeName>(Step::Key("recipe".to_owned()), name)? {
            RecipeName::Busybox => BusyboxTemplate::decode(node, reader).map(Template::from),
            RecipeName::Debian | RecipeName::Ubuntu => {
                BootstrapTemplate::decode(node, reader).map(Template::from)
            }
            RecipeName::Tarball => TarballTemplate::decode(node, reader).map(Template::from),
        }
    }

    fn encode(template: &Template) -> Json {
        let mut object = Map::new();
        let name = match &template.recipe {
            Recipe::Busybox => RecipeName::Busybox,
            Recipe::Debian(_) => RecipeName::Debian,
            Recipe::Ubuntu(_) => RecipeName::Ubuntu,
            Recipe::Tarball { .. } => RecipeName::Tarball,
        };
        encode_field::<_, RecipeName>(&mut object, "recipe", &name);
        match &template.recipe {
            Recipe::Busybox => {}
            Recipe::Debian(bootstrap) | Recipe::Ubuntu(bootstrap) => {
                encode_field::<_, Suite>(&mut object, "suite", &bootstrap.suite);
                encode_field::<_, Vec<Package>>(&mut object, "packages", &bootstrap.packages);
                encode_field::<_, Option<Mirror>>(&mut object, "mirror", &bootstrap.mirror);
            }
            Recipe::Tarball { path, sha256 } => {
                encode_field::<_, AbsolutePath>(&mut object, "path", path);
                encode_field::<_, Sha256Digits>(&mut object, "sha256", sha256);
            }
        }
        encode_field::<_, bool>(&mut object, "adopt", &template.adopt);
        object.into()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let description = "A root file system that containers are made from.";
        definitions.define("Template", description, |definitions| {
            let records = [
                (BusyboxTemplate::schema(definitions), &["busybox"][..]),
                (
                    BootstrapTemplate::schema(definitions),
                    &["debian", "ubuntu"],
                ),
                (TarballTemplate::schema(definitions), &["tarball"]),
            ];
            let choices: Vec<_> = records
                .into_iter()
                .map(|(mut schema, recipes)| {
                    schema["properties"] = json!({ "recipe": { "enum": recipes } });
                    schema
                })
                .collect();
            Kind::Other(json!({ "oneOf": choices }))
        })
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::encode(self).serialize(serializer)
    }
}

impl From<BusyboxTemplate> for Template {
    fn from(template: BusyboxTemplate) -> Self {
        Self {
            recipe: Recipe::Busybox,
            adopt: template.adopt,
        }
    }
}

impl From<BootstrapTemplate> for Template {
    fn from(template: BootstrapTemplate) -> Self {
        let ubuntu = template.recipe == RecipeName::Ubuntu;
        let usual = if ubuntu { "noble" } else { "bookworm" };
        let bootstrap = Bootstrap {
            suite: template.suite.unwrap_or_else(|| usual.to_owned()),
            packages: template.packages,
            mirror: template.mirror,
        };
        Self {
            recipe: if ubuntu {
                Recipe::Ubuntu(bootstrap)
            } else {
                Recipe::Debian(bootstrap)
            },
            adopt: template.adopt,
        }
    }
}

impl From<TarballTemplate> for Template {
    fn from(template: TarballTemplate) -> Self {
        Self {
            recipe: Recipe::Tarball {
                path: template.path,
                sha256: template.sha256,
            },
            adopt: template.adopt,
        }
    }
}

/// A suite of Debian or Ubuntu; it becomes an argument and part of a URL.
struct Suite;

impl Text<String> for Suite {
    const ACCEPTED: &'static str =
        "the name of a suite, such as bookworm: small letters, digits, `-` and `.`";
    const PATTERN: &'static str = "^[a-z][a-z0-9.-]{0,63}$";

    fn read(text: &str) -> Result<String, Rejected> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let all = text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
        });
        if first && all && text.len() <= 64 {
            Ok(text.to_owned())
        } else {
            Err(Rejected::default())
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// The name of a package, by Debian Policy §5.6.7.
struct Package;

impl Text<String> for Package {
    const ACCEPTED: &'static str =
        "the name of a package: small letters, digits, `+`, `-` and `.`, at least two of them";
    const PATTERN: &'static str = "^[a-z0-9][a-z0-9.+-]{1,127}$";

    fn read(text: &str) -> Result<String, Rejected> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let all = text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".+-".contains(&byte)
        });
        if first && all && (2..=128).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err(Rejected::default())
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// Where packages are fetched from. The declaration is no place for passwords.
struct Mirror;

impl Text<String> for Mirror {
    const ACCEPTED: &'static str = "a URL with http, https or file and without a password, such as https://deb.debian.org/debian";
    const PATTERN: &'static str = "^(https?|file)://[!-?A-~]+$";

    fn read(text: &str) -> Result<String, Rejected> {
        let rest = ["http://", "https://", "file://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or_else(Rejected::default)?;
        if rest.contains('@') {
            return Err(Rejected {
                secret: true,
                ..Rejected::because("it contains a user or a password")
            });
        }
        if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Rejected::default());
        }
        Ok(text.to_owned())
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// 64 hexadecimal digits; kept in small letters.
struct Sha256Digits;

impl Text<String> for Sha256Digits {
    const ACCEPTED: &'static str = "a SHA-256: 64 hexadecimal digits";
    const PATTERN: &'static str = "^[0-9A-Fa-f]{64}$";

    fn read(text: &str) -> Result<String, Rejected> {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Rejected::default());
        }
        match text.len() {
            64 => Ok(text.to_lowercase()),
            length => Err(Rejected::because(format!("{length} digits"))),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}
