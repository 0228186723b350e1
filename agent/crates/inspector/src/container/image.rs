//! OCI images (image-spec 1.1, layout and archive) and the archives that `docker save` writes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::files::Files;
use super::{environment, plain};
use crate::describe::sha256;
use crate::error::Error;
use crate::limits::{Budget, Limits};
use crate::parse;

const FORMAT: &str = "OCI or Docker image";
/// The largest manifest or configuration, in bytes (distribution-spec: registries take up to 4 MiB).
const LARGEST: usize = 4 << 20;
/// How many manifests of an index are told of.
const MANIFESTS: usize = 32;
/// How deep indexes may lead to indexes.
const DEEPEST: usize = 3;

/// Describes an image by its files: an OCI layout, or what `docker save` writes.
pub fn image(files: &dyn Files, limits: &Limits) -> Result<Value, Error> {
    let reader = Reader { files, limits };
    if let Some(index) = reader.json("index.json")? {
        let mut told = json!({ "layout": "oci", "images": [] });
        reader.index(&index, &mut told, 0)?;
        return Ok(told);
    }
    if let Some(manifests) = reader.json("manifest.json")? {
        let images = manifests.as_array().into_iter().flatten().take(MANIFESTS);
        let images: Result<Vec<_>, _> = images.map(|manifest| reader.docker(manifest)).collect();
        return Ok(json!({ "layout": "docker", "images": images? }));
    }
    Err(Error::syntax(
        FORMAT,
        "it has neither `index.json` nor `manifest.json`",
    ))
}

struct Reader<'f> {
    files: &'f dyn Files,
    limits: &'f Limits,
}

impl Reader<'_> {
    fn json(&self, path: &str) -> Result<Option<Value>, Error> {
        let Some(bytes) = self.files.read(path, LARGEST)? else {
            return Ok(None);
        };
        let text =
            String::from_utf8(bytes).map_err(|_| Error::syntax(FORMAT, "a file is no text"))?;
        parse::json(&text, &mut Budget::new(*self.limits)).map(Some)
    }

    /// A blob, which has to be what its digest says.
    fn blob(&self, descriptor: &Value) -> Result<Value, Error> {
        let wrong = |reason: &str| Error::syntax(FORMAT, reason);
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 64 || !digits.bytes().all(hexadecimal) {
            return Err(wrong("a digest is no SHA-256"));
        }
        let bytes = self
            .files
            .read(&format!("blobs/sha256/{digits}"), LARGEST)?;
        let bytes = bytes.ok_or_else(|| wrong("a blob that it names is not there"))?;
        if sha256(&bytes) != digits {
            return Err(wrong("a blob is not what its digest says"));
        }
        let text = String::from_utf8(bytes).map_err(|_| wrong("a blob is no text"))?;
        parse::json(&text, &mut Budget::new(*self.limits))
    }

    fn index(&self, index: &Value, told: &mut Value, depth: usize) -> Result<(), Error> {
        if depth >= DEEPEST {
            return Err(Error::TooDeep(DEEPEST));
        }
        for descriptor in index["manifests"].as_array().into_iter().flatten() {
            let room = told["images"]
                .as_array()
                .is_some_and(|images| images.len() < MANIFESTS);
            if !room {
                told["left_out"] = json!(true);
                return Ok(());
            }
            let kind = descriptor["mediaType"].as_str().unwrap_or_default();
            if kind.contains("image.index") || kind.contains("manifest.list") {
                self.index(&self.blob(descriptor)?, told, depth + 1)?;
                continue;
            }
            let mut image = match self.blob(descriptor) {
                Ok(manifest) => self.manifest(&manifest)?,
                // Of an image for many platforms often only one is there.
                Err(error @ Error::Syntax { .. }) => json!({ "fault": error.to_string() }),
                Err(error) => return Err(error),
            };
            image["digest"] = descriptor["digest"].clone();
            let name = &descriptor["annotations"]["org.opencontainers.image.ref.name"];
            image["name"] = name.clone();
            if let Some(images) = told["images"].as_array_mut() {
                images.push(image);
            }
        }
        Ok(())
    }

    fn manifest(&self, manifest: &Value) -> Result<Value, Error> {
        let mut image = described(&self.blob(&manifest["config"])?);
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let layers = layers.take(256).map(|layer| {
            json!({ "digest": layer["digest"], "bytes": layer["size"], "media_type": layer["mediaType"] })
        });
        image["layers"] = layers.collect();
        Ok(image)
    }

    fn docker(&self, manifest: &Value) -> Result<Value, Error> {
        let path = manifest["Config"].as_str().unwrap_or_default();
        let config = self.json(path)?;
        let config =
            config.ok_or_else(|| Error::syntax(FORMAT, "its configuration is not there"))?;
        let mut image = described(&config);
        image["name"] = manifest["RepoTags"][0].clone();
        let layers = manifest["Layers"].as_array().into_iter().flatten();
        image["layers"] = layers
            .take(256)
            .map(|layer| json!({ "path": layer }))
            .collect();
        Ok(image)
    }
}

/// An image's configuration, without what sounds secret.
fn described(config: &Value) -> Value {
    let run = &config["config"];
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str)
            .take(256)
            .map(str::to_owned)
            .collect()
    };
    let keys = |value: &Value| -> BTreeSet<String> {
        let keys = value.as_object().into_iter().flatten();
        keys.map(|(key, _)| key.clone()).take(256).collect()
    };
    let labels = run["Labels"].as_object().into_iter().flatten().take(256);
    let labels = labels.map(|(key, value)| {
        let value = plain(key, value.as_str().unwrap_or_default());
        (key.clone(), json!(value))
    });
    let variables = texts(&run["Env"]);
    json!({
        "architecture": config["architecture"],
        "os": config["os"],
        "created": config["created"],
        "entrypoint": texts(&run["Entrypoint"]),
        "command": texts(&run["Cmd"]),
        "user": run["User"],
        "working_directory": run["WorkingDir"],
        "exposed_ports": keys(&run["ExposedPorts"]),
        "volumes": keys(&run["Volumes"]),
        "environment": environment(variables.iter().map(String::as_str)),
        "labels": labels.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use super::*;
    use crate::container::{Directory, TarFiles};

    fn config() -> Value {
        json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {
                "Env": ["PATH=/bin", "API_KEY=hunter2"], "Entrypoint": ["/app"], "Cmd": ["--serve"], "User": "app",
                "ExposedPorts": { "8080/tcp": {} }, "Labels": { "version": "1" },
            },
        })
    }

    /// The files of an image of one layer.
    fn layout() -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut blob = |value: &Value, kind: &str| {
            let bytes = value.to_string().into_bytes();
            let digits = sha256(&bytes);
            let descriptor = json!({ "digest": format!("sha256:{digits}"), "size": bytes.len(), "mediaType": kind });
            files.insert(format!("blobs/sha256/{digits}"), bytes);
            descriptor
        };
        let config = blob(&config(), "application/vnd.oci.image.config.v1+json");
        let layer = json!({ "digest": "sha256:00", "size": 12, "mediaType": "application/vnd.oci.image.layer.v1.tar" });
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        let mut manifest = blob(&manifest, "application/vnd.oci.image.manifest.v1+json");
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "app:1" });
        let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
        files.insert("index.json".to_owned(), index.to_string().into_bytes());
        files
    }

    fn archive(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder
                .append_data(&mut header, path, bytes.as_slice())
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn told(files: &BTreeMap<String, Vec<u8>>) -> Result<Value, Error> {
        let limits = Limits::default();
        let files = TarFiles::new(Cursor::new(archive(files)), &Budget::new(limits))?;
        image(&files, &limits)
    }

    #[test]
    fn archives_and_directories_tell_the_same() {
        let files = layout();
        let from_archive = told(&files).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in &files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let from_directory =
            image(&Directory::open(dir.path()).unwrap(), &Limits::default()).unwrap();
        assert_eq!(from_archive, from_directory);
        let image = &from_archive["images"][0];
        assert_eq!(image["name"], "app:1");
        assert_eq!(image["entrypoint"], json!(["/app"]));
        assert_eq!(image["exposed_ports"], json!(["8080/tcp"]));
        assert_eq!(
            image["environment"],
            json!({ "PATH": "/bin", "API_KEY": "…" })
        );
        assert_eq!(image["layers"][0]["bytes"], 12);
        assert!(!from_archive.to_string().contains("hunter2"));
    }

    #[test]
    fn docker_archives_are_read() {
        let mut files = BTreeMap::new();
        let manifest =
            json!([{ "Config": "c.json", "RepoTags": ["app:2"], "Layers": ["l/layer.tar"] }]);
        files.insert(
            "manifest.json".to_owned(),
            manifest.to_string().into_bytes(),
        );
        files.insert("c.json".to_owned(), config().to_string().into_bytes());
        let told = told(&files).unwrap();
        assert_eq!(told["images"][0]["name"], "app:2");
        assert_eq!(told["images"][0]["user"], "app");
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        let mut files = layout();
        for (path, bytes) in &mut files {
            if path.starts_with("blobs") {
                bytes.push(b' ');
            }
        }
        let told_of = told(&files).unwrap();
        assert!(
            told_of["images"][0]["fault"]
                .as_str()
                .unwrap()
                .contains("digest")
        );
        let mut escape = BTreeMap::new();
        let index = json!({ "manifests": [{ "digest": "sha256:../../../../etc/passwd" }] });
        escape.insert("index.json".to_owned(), index.to_string().into_bytes());
        assert!(told(&escape).unwrap()["images"][0].get("fault").is_some());
        assert!(told(&BTreeMap::new()).is_err());
    }
}
