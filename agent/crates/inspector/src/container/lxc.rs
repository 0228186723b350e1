//! An LXC container: its configuration, and what its root file system says of itself.

use serde_json::{Map, Value, json};

use super::files::{Directory, Files};
use super::{environment, plain};
use crate::error::Error;
use crate::limits::Limits;

/// The largest configuration or os-release, in bytes.
const LARGEST: usize = 256 << 10;

/// Describes the container in a directory, which has a `config` and a `rootfs`.
pub fn lxc(directory: &Directory, limits: &Limits) -> Result<Value, Error> {
    let Some(config) = directory.read("config", LARGEST)? else {
        return Err(Error::syntax("LXC container", "it has no file `config`"));
    };
    let mut told = json!({ "config": config_of(&String::from_utf8_lossy(&config)) });
    if let Some(root) = directory.below("rootfs")? {
        told["system"] = os_release(&root)?;
        told["packages"] = packages(&root, limits)?;
        told["init"] = json!(init(&root));
    }
    Ok(told)
}

/// The keys of LXC's configuration (lxc.container.conf(5)); what may be there several times is a list.
fn config_of(text: &str) -> Value {
    const MOST: usize = 1000;
    let mut keys = Map::new();
    let mut variables = Vec::new();
    for line in text.lines().take(MOST) {
        let line = line.trim();
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key == "lxc.environment" {
            variables.push(value);
            continue;
        }
        let value = Value::from(plain(key, value));
        match keys.get_mut(key) {
            None => drop(keys.insert(key.to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(single) => *single = json!([single.take(), value]),
        }
    }
    if !variables.is_empty() {
        keys.insert(
            "lxc.environment".to_owned(),
            environment(variables.into_iter()),
        );
    }
    Value::Object(keys)
}

/// os-release(5)
fn os_release(root: &Directory) -> Result<Value, Error> {
    let mut text = root.read("etc/os-release", LARGEST)?;
    if text.is_none() {
        text = root.read("usr/lib/os-release", LARGEST)?;
    }
    let text = text.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let wanted = [
        "ID",
        "NAME",
        "PRETTY_NAME",
        "VERSION",
        "VERSION_ID",
        "BUILD_ID",
        "VARIANT_ID",
    ];
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(key, _)| wanted.contains(key));
    let pairs = pairs.map(|(key, value)| {
        let value = value.trim().trim_matches(['"', '\'']);
        (key.to_ascii_lowercase(), json!(value))
    });
    Ok(Value::Object(pairs.collect()))
}

/// How many packages the databases of package programs name.
fn packages(root: &Directory, limits: &Limits) -> Result<Value, Error> {
    let mut found = Map::new();
    for (program, path, begins) in [
        (
            "dpkg",
            "var/lib/dpkg/status",
            "Status: install ok installed",
        ),
        ("apk", "lib/apk/db/installed", "P:"),
        ("opkg", "usr/lib/opkg/status", "Package:"),
    ] {
        match root.read(path, limits.bytes) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                let text = String::from_utf8_lossy(&bytes);
                let count = text.lines().filter(|line| line.starts_with(begins)).count();
                found.insert(program.to_owned(), json!(count));
            }
            // The rest can be told all the same.
            Err(error) => drop(found.insert(program.to_owned(), json!(error.to_string()))),
        }
    }
    Ok(Value::Object(found))
}

/// The program that the container begins with, where it really lies.
fn init(root: &Directory) -> Option<String> {
    let places = ["sbin/init", "init", "etc/init", "bin/init"];
    places.iter().find_map(|place| root.real(place))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_container_is_described_from_within() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "config",
            "# made by hand\nlxc.uts.name = web\nlxc.mount.entry = a\nlxc.mount.entry = b\n\
             lxc.environment = TOKEN=x\nlxc.environment = LANG=C\n",
        );
        write(
            "rootfs/usr/lib/os-release",
            "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13\"\nHOME_URL=x\n",
        );
        write(
            "rootfs/var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\n\nPackage: b\nStatus: deinstall ok config-files\n",
        );
        write("rootfs/usr/lib/systemd/systemd", "");
        fs::create_dir_all(dir.path().join("rootfs/etc")).unwrap();
        fs::create_dir_all(dir.path().join("rootfs/sbin")).unwrap();
        symlink(
            "/usr/lib/os-release",
            dir.path().join("rootfs/etc/os-release"),
        )
        .unwrap();
        symlink(
            "/usr/lib/systemd/systemd",
            dir.path().join("rootfs/sbin/init"),
        )
        .unwrap();
        let told = lxc(&Directory::open(dir.path()).unwrap(), &Limits::default()).unwrap();
        assert_eq!(
            told,
            json!({
                "config": {
                    "lxc.uts.name": "web", "lxc.mount.entry": ["a", "b"],
                    "lxc.environment": { "TOKEN": "…", "LANG": "C" },
                },
                "system": { "id": "debian", "pretty_name": "Debian GNU/Linux 13" },
                "packages": { "dpkg": 1 },
                "init": "/usr/lib/systemd/systemd",
            })
        );
    }

    #[test]
    fn links_do_not_lead_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "ID=leaked\n").unwrap();
        fs::create_dir_all(dir.path().join("c/rootfs/etc")).unwrap();
        fs::write(dir.path().join("c/config"), "lxc.uts.name = c\n").unwrap();
        let link = dir.path().join("c/rootfs/etc/os-release");
        for target in [
            "../../../secret",
            dir.path().join("secret").to_str().unwrap(),
            "/proc/self/environ",
        ] {
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            let told = lxc(
                &Directory::open(&dir.path().join("c")).unwrap(),
                &Limits::default(),
            );
            assert_eq!(told.unwrap()["system"], json!({}), "{target}");
        }
        assert!(lxc(&Directory::open(dir.path()).unwrap(), &Limits::default()).is_err());
    }
}
