//! Declarations in files, and containers that were made by command beside them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use declaration::{
    Container, ContainerName, ContainersFile, Declaration, Format, Problems, ReadError, Size,
};

const YAML: &str = "version: '1.0'\nplugins: { ovs: { bridges: { br0: {} } } }\n";
const JSON: &str = r#"{"version": "1.0", "plugins": {"ovs": {"bridges": {"br0": {}}}}}"#;

fn bridges(declaration: &Declaration) -> usize {
    declaration.plugins.ovs.as_ref().unwrap().bridges.len()
}

#[test]
fn the_name_says_the_format_and_else_the_text() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.yaml", YAML),
        ("a.yml", YAML),
        ("a.YAML", JSON),
        ("a.json", JSON),
        ("a", JSON),
        ("b", YAML),
        ("c.conf", &format!("\n  {JSON}")),
        ("bom.json", &format!("\u{feff}{JSON}")),
        ("bom.yaml", &format!("\u{feff}{YAML}")),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        assert_eq!(bridges(&Declaration::read(&path).unwrap()), 1, "{name}");
    }
    let path = directory.path().join("wrong.json");
    fs::write(&path, YAML).unwrap();
    assert!(matches!(
        Declaration::read(&path),
        Err(ReadError::Bad { .. })
    ));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let said = |path: &Path| Declaration::read(path).unwrap_err().to_string();

    let missing = directory.path().join("missing.json");
    assert!(
        said(&missing).starts_with(&format!("cannot read {}: No such file", missing.display()))
    );
    assert!(said(directory.path()).contains("Is a directory"));

    let binary = directory.path().join("binary.json");
    fs::write(&binary, b"{\"version\": \"\xff\"}").unwrap();
    assert!(said(&binary).contains("byte 13 is not of UTF-8"));

    let large = directory.path().join("large.json");
    fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    assert!(said(&large).contains("at most 16 MiB"));
}

#[test]
fn the_default_is_the_eight_subvolumes_and_nothing_else() {
    let declaration = Declaration::default();
    assert_eq!(
        Declaration::from_yaml("version: 1"),
        Ok(declaration.clone())
    );
    assert_eq!(
        Declaration::from_yaml("version: 1\nplugins: { btrfs: {} }"),
        Ok(declaration.clone())
    );
    let subvolumes: Vec<_> = declaration
        .plugins
        .btrfs
        .subvolumes
        .iter()
        .map(|(name, subvolume)| format!("{name} {}", subvolume.compression.unwrap()))
        .collect();
    assert_eq!(
        subvolumes,
        [
            "@cache zstd:3",
            "@containers zstd:1",
            "@plugins zstd:1",
            "@snapshots zstd:1",
            "@state zstd:1",
            "@templates zstd:1",
            "@timing zstd:3",
            "@vectors zstd:3",
        ]
    );
    assert_eq!(
        declaration.plugins.btrfs.base.path,
        Path::new("/var/lib/op-dbus")
    );
    assert!(declaration.plugins.lxc.is_none());
}

#[test]
fn declared_subvolumes_go_over_the_eight() {
    let declaration = Declaration::from_yaml(
        r#"
        version: 1
        plugins:
          btrfs:
            subvolumes:
              "@cache": { compression: lzo }
              "@state": { compression: null }
              "@timing": { adopt: true }
              "@data": {}
        "#,
    )
    .unwrap();
    let subvolumes = &declaration.plugins.btrfs.subvolumes;
    let compression = |name: &str| {
        subvolumes[name]
            .compression
            .map(|compression| compression.to_string())
    };
    assert_eq!(subvolumes.len(), 9);
    assert_eq!(compression("@cache").as_deref(), Some("lzo"));
    assert_eq!(compression("@state"), None);
    assert_eq!(compression("@timing").as_deref(), Some("zstd:3"));
    assert!(subvolumes["@timing"].adopt);
    assert_eq!(compression("@data"), None);

    let written = serde_json::to_string(&declaration).unwrap();
    assert_eq!(Declaration::from_json(&written), Ok(declaration));
}

const HOST: &str = "
    version: 1
    plugins:
      ovs: { bridges: { br0: { addresses: [10.0.0.1/24] } } }
      lxc:
        templates: { busybox: { recipe: busybox } }
        containers: { web-01: { template: busybox, address: 10.0.0.11/24 } }
";

fn made(text: &str) -> BTreeMap<ContainerName, Container> {
    let text = format!("version: 1\ncontainers: {text}");
    ContainersFile::parse(&text, Format::Yaml)
        .unwrap()
        .containers
}

#[test]
fn containers_have_the_documents_defaults() {
    let container = &made("{ a: { template: t } }")["a"];
    assert_eq!((container.cores, container.running), (2, true));
    assert_eq!(
        (container.memory, container.swap),
        (Size::from_mib(2048), Size::from_mib(512))
    );
    assert_eq!(
        (container.unprivileged, container.autostart, container.adopt),
        (true, true, false)
    );
    assert_eq!(container.network.as_str(), "socket");
}

#[test]
fn the_only_bridge_is_taken() {
    let declaration = Declaration::from_yaml(HOST).unwrap();
    let containers = declaration.plugins.lxc.unwrap().containers;
    assert_eq!(
        containers["web-01"].bridge.as_ref().unwrap().as_str(),
        "br0"
    );
}

#[test]
fn containers_made_by_command_are_added() {
    let mut declaration = Declaration::from_yaml(HOST).unwrap();
    let containers =
        made("{ db-01: { template: busybox, after: [web-01] }, web-01: { template: nothing } }");
    declaration.merge_containers(&containers).unwrap();
    let merged = &declaration.plugins.lxc.as_ref().unwrap().containers;
    assert_eq!(merged.len(), 2);
    assert_eq!(merged["db-01"].bridge.as_ref().unwrap().as_str(), "br0");
    // What the declaration says goes first.
    assert_eq!(merged["web-01"].template.as_str(), "busybox");
}

#[test]
fn containers_made_by_command_have_to_fit() {
    let mut declaration = Declaration::from_yaml(HOST).unwrap();
    let before = declaration.clone();
    let containers = made(
        "{ a: { template: debian }, b: { template: busybox, address: 10.0.0.11/24, after: [c] } }",
    );
    let problems = declaration.merge_containers(&containers).unwrap_err();
    let paths: Vec<_> = problems
        .iter()
        .map(|problem| problem.path.to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "plugins.lxc.containers.web-01.address",
            "plugins.lxc.containers.a.template",
            "plugins.lxc.containers.b.after[0]",
        ]
    );
    assert_eq!(declaration, before, "nothing is added if anything is wrong");

    let nothing: BTreeMap<_, _> = BTreeMap::new();
    assert_eq!(declaration.merge_containers(&nothing), Ok(()));
}

#[test]
fn containers_are_kept_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("containers.json");
    let file = ContainersFile::new(made(
        "{ a: { template: t, address: 'fd00::1/64', memory: 3GiB } }",
    ));
    fs::write(&path, serde_json::to_vec_pretty(&file).unwrap()).unwrap();
    assert_eq!(ContainersFile::read(&path).unwrap(), file);

    fs::write(
        &path,
        r#"{"version": "1.0", "containers": {"A": {"template": 5}}}"#,
    )
    .unwrap();
    let Err(ReadError::Bad { problems, .. }) = ContainersFile::read(&path) else {
        panic!("it is bad");
    };
    assert_eq!(problems.problems.len(), 2);
}

#[test]
fn problems_are_given_as_json_too() {
    let problems: Problems = Declaration::from_yaml("version: 1\nplugin: {}").unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        serde_json::json!({
            "problems": [{
                "path": "plugin",
                "line": 2,
                "found": "an unknown key",
                "accepted": "a map with the keys `version`, `reconcile`, `access`, `web`, `chat`, `mcp`, `ledger`, `replication`, `snapshots`, `ml`, `cache`, `plugins`",
                "hint": "did you mean `plugins`?",
            }],
            "omitted": 0,
        })
    );
}
