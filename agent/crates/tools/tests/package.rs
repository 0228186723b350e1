//! The tools for packages on the real PackageKit and on apt alone, each with a repository of the test's own.
#![allow(clippy::unwrap_used)]

mod fixture;
#[path = "../../plugins/tests/packagekit/repository.rs"]
mod repository;

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use fixture::{call, call_with, caller, item, registry, texts};
use lab::{Machine, Systemd};
use repository::Repository;
use serde_json::{Value, json};
use tools::{Cancel, Options, Registry, Role, ToolError};

struct Host {
    registry: Registry,
    systemd: Systemd,
    _machine: Machine,
}

fn host() -> Option<Host> {
    let machine = Machine::new("needs root")?;
    let systemd = machine.systemd()?;
    let root = systemd.root();
    if !root.join("usr/libexec/packagekitd").exists() || !root.join("usr/bin/apt-get").exists() {
        lab::skip("needs packagekit, on Debian");
        return None;
    }
    // PackageKit fetches nothing on a host without a way out.
    for command in [
        "link add out type veth peer name far",
        "link set far up",
        "link set out up",
        "addr add 192.0.2.2/24 dev out",
        "route add default via 192.0.2.1",
    ] {
        let mut argv = vec!["ip"];
        argv.extend(command.split(' '));
        assert!(systemd.inside(&argv).status.success(), "{command}");
    }
    let repository = Repository::new(root.join("srv/repository"));
    for name in ["sources.list.d", "apt.conf.d", "preferences.d"] {
        let _ = fs::remove_dir_all(root.join("etc/apt").join(name));
    }
    fs::write(root.join("etc/apt/sources.list"), repository.source(&root)).unwrap();
    Some(Host {
        registry: registry(machine.dir(), ""),
        systemd,
        _machine: machine,
    })
}

impl Host {
    fn call(&self, name: &str, arguments: Value) -> Value {
        call(&self.registry, Role::Admin, name, arguments)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn file(&self) -> Option<String> {
        fs::read_to_string(self.systemd.root().join("opt/op-dbus-test/op-app")).ok()
    }
}

#[test]
fn packages_are_found_installed_and_removed() {
    let Some(host) = host() else { return };
    let refreshed = host.call("package_refresh", json!({}));
    assert_eq!(refreshed["manager"], "PackageKit");
    let found = host.call("package_search", json!({ "query": "op-app" }));
    assert_eq!(found["packages"][0]["version"], "2.0");

    let app = json!({ "packages": ["op-app"] });
    let result = call(
        &host.registry,
        Role::Operator,
        "dbus_packagekit_install_packages",
        app.clone(),
    );
    assert!(matches!(result, Err(ToolError::Refused(_))), "{result:?}");
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let name = "dbus_packagekit_install_packages";
    let plan = call_with(&host.registry, Role::Admin, name, app.clone(), options).unwrap();
    assert_eq!(texts(&plan["changes"], "resource"), ["op-app", "op-lib"]);
    assert_eq!(
        plan["changes"][0]["after"],
        json!({ "installed": true, "version": "2.0" })
    );
    assert_eq!(host.file(), None);

    let told = Mutex::new(Vec::new());
    let done = host.registry.call(
        &caller(Role::Admin),
        name,
        app.clone(),
        Options::default(),
        &Cancel::default(),
        &|event| told.lock().unwrap().push(event.text.clone()),
    );
    let done = done.unwrap();
    assert_eq!(done["outcome"], "done");
    assert_eq!(
        item(&done["changes"], "name", "op-lib")["action"],
        "install"
    );
    assert_eq!(host.file().as_deref(), Some("2.0"));
    assert!(!told.lock().unwrap().is_empty());
    assert_eq!(host.call(name, app.clone())["outcome"], "unchanged");

    let list = host.call("package_list_installed", json!({ "name": "op-" }));
    assert!(texts(&list["packages"], "name").contains(&"op-app".to_owned()));
    let details = host.call(
        "package_details",
        json!({ "packages": ["op-lib", "op-nonsense"] }),
    );
    assert_eq!(details["packages"][0]["summary"], "made for a test");
    assert_eq!(details["unknown"], json!(["op-nonsense"]));
    assert_eq!(
        host.call("package_list_updates", json!({}))["packages"],
        json!([])
    );

    // What needs it goes as well, and is in the plan that has to be confirmed.
    let name = "dbus_packagekit_remove_packages";
    let lib = json!({ "packages": ["op-lib"] });
    let error = call(&host.registry, Role::Admin, name, lib.clone()).unwrap_err();
    let ToolError::Unconfirmed { plan, .. } = error else {
        panic!("{error}");
    };
    let options = Options {
        plan: Some(plan.to_string()),
        ..Options::default()
    };
    let done = call_with(&host.registry, Role::Admin, name, lib, options).unwrap();
    assert_eq!(texts(&done["changes"], "name"), ["op-app", "op-lib"]);
    assert_eq!(host.file(), None);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(dir.path(), "");
    for (name, arguments) in [
        (
            "dbus_packagekit_install_packages",
            json!({ "packages": ["--reinstall"] }),
        ),
        (
            "dbus_packagekit_install_packages",
            json!({ "packages": ["a;b"] }),
        ),
        (
            "dbus_packagekit_install_packages",
            json!({ "packages": [] }),
        ),
        (
            "dbus_packagekit_install_packages",
            json!({ "packages": ["a", "b"], "version": "1" }),
        ),
        (
            "dbus_packagekit_install_packages",
            json!({ "packages": ["a"], "version": "1 2" }),
        ),
        (
            "dbus_packagekit_remove_packages",
            json!({ "packages": ["*"] }),
        ),
        ("package_details", json!({ "packages": ["/etc/passwd"] })),
        ("package_search", json!({ "query": "-o" })),
        ("package_search", json!({ "query": "a*" })),
    ] {
        let options = Options {
            dry_run: true,
            ..Options::default()
        };
        let result = call_with(&registry, Role::Admin, name, arguments.clone(), options);
        assert!(
            matches!(result, Err(ToolError::Invalid(_))),
            "{name} {arguments}: {result:?}"
        );
    }
}

#[test]
fn without_packagekit_the_packages_of_dpkg_are_read() {
    if !lab::has("dpkg-query") || !lab::has("apt-get") {
        return lab::skip("needs apt-get");
    }
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    let registry = registry(machine.dir(), "");
    let list = call(
        &registry,
        Role::Viewer,
        "package_list_installed",
        json!({ "name": "dpkg", "limit": 1000 }),
    );
    let list = list.unwrap();
    assert_eq!(list["manager"], "apt");
    let said = lab::run("dpkg-query", &["--show", "--showformat=${Version}", "dpkg"]);
    assert_eq!(item(&list["packages"], "name", "dpkg")["version"], said);
    assert!(Path::new("/usr/bin/dpkg").exists());
}

#[test]
fn nixos_is_told_where_packages_are_listed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let release = machine.dir().join("os-release");
    fs::write(&release, "ID=nixos\n").unwrap();
    lab::run(
        "mount",
        &["--bind", release.to_str().unwrap(), "/etc/os-release"],
    );
    let registry = registry(machine.dir(), "");
    let result = call(&registry, Role::Viewer, "package_list_updates", json!({}));
    let error = result.unwrap_err();
    assert!(matches!(error, ToolError::Unavailable(_)));
    assert!(
        error.to_string().contains("environment.systemPackages"),
        "{error}"
    );
}
