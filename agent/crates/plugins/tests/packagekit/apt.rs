//! Without PackageKit: the real apt and dpkg, on a database of the test's own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use lab::{Machine, output, run};
use plugins::packagekit::{Request, Verb, Watch, find};

use crate::fixture::Runs;
use crate::repository::Repository;

/// A machine whose packages are the real ones and those of a small repository; what is installed is gone with it.
fn host() -> Option<(Runs, Machine)> {
    if !lab::has("apt-get") {
        lab::skip("needs apt-get");
        return None;
    }
    let machine = Machine::new("needs root")?;
    // There is no bus, and so no PackageKit.
    run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]);
    for (n, place) in [
        "/etc/apt",
        "/var/lib/dpkg",
        "/var/lib/apt",
        "/var/cache/apt",
        "/var/log",
        "/opt",
    ]
    .into_iter()
    .enumerate()
    {
        let layer = format!("/mnt/{n}");
        for part in ["upper", "work"] {
            fs::create_dir_all(format!("{layer}/{part}")).unwrap();
        }
        let options = format!("lowerdir={place},upperdir={layer}/upper,workdir={layer}/work");
        run(
            "mount",
            &["-t", "overlay", "overlay", "-o", &options, place],
        );
    }
    let repository = Repository::new(machine.dir().join("repository"));
    for name in ["sources.list.d", "apt.conf.d", "preferences.d"] {
        let _ = fs::remove_dir_all(Path::new("/etc/apt").join(name));
    }
    fs::write("/etc/apt/sources.list", repository.source(Path::new("/"))).unwrap();
    let runs = Runs::new(&machine);
    find(None).unwrap().refresh(&Watch::nobody()).unwrap();
    Some((runs, machine))
}

fn version(name: &str) -> String {
    let output = output(
        "dpkg-query",
        &[
            "--show",
            "--showformat=${db:Status-Status} ${Version}",
            name,
        ],
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn packages_are_installed_updated_pinned_and_removed() {
    let Some((runs, _machine)) = host() else {
        return;
    };
    runs.apply("op-app: {version: \"1.0\", provider: apt}");
    assert_eq!(version("op-app"), "installed 1.0");
    assert_eq!(version("op-lib"), "installed 1.0");
    runs.apply("op-app: {ensure: latest}");
    assert_eq!(
        fs::read_to_string("/opt/op-dbus-test/op-app").unwrap(),
        "2.0"
    );
    runs.apply("op-app: {version: \"1.0\"}");
    assert_eq!(version("op-app"), "installed 1.0");
    runs.apply_and_fail("op-app: {ensure: latest}");
    assert_eq!(version("op-app"), "installed 1.0");
    let text = runs.refusal("op-lib: {ensure: removed}");
    assert!(
        text.contains("removing op-lib would remove op-app as well"),
        "{text}"
    );
    runs.apply_and_fail("op-app: {ensure: removed}");
    assert_eq!(version("op-app"), "installed 1.0");
    runs.apply("op-lib: {ensure: removed}, op-app: {ensure: removed}");
    assert!(!Path::new("/opt/op-dbus-test/op-app").exists());
    let text = runs.fail("op-app: {version: \"7\"}");
    assert!(
        text.contains("op-app 7 is not in the package lists"),
        "{text}"
    );
    let text = runs.fail("op-nonsense: {}");
    assert!(
        text.contains("op-nonsense is not in the package lists"),
        "{text}"
    );
}

#[test]
fn the_lists_are_read() {
    let Some((runs, _machine)) = host() else {
        return;
    };
    runs.apply("op-app: {version: \"1.0\"}");
    let apt = find(None).unwrap();
    assert_eq!(apt.name(), "apt");
    let watch = Watch::nobody();
    let updates = apt.updates(&[], &watch).unwrap();
    let updates: Vec<_> = updates
        .iter()
        .map(|one| (one.name.as_str(), one.version.as_deref()))
        .collect();
    assert_eq!(updates, [("op-app", Some("2.0"))]);
    let found = apt.search("made for a test", &watch).unwrap();
    assert_eq!(found.len(), 2);
    let name = "op-app".parse().unwrap();
    let details = apt.details(&[&name], &watch).unwrap();
    assert_eq!(details[0].listed.summary, "made for a test");
    assert_eq!(details[0].description, "It holds next to nothing.");
    assert_eq!(details[0].listed.installed, Some(true));
    let steps = apt.simulate(&Request::Update(Vec::new()), &watch).unwrap();
    assert_eq!(
        (steps[0].verb, steps[0].before.as_deref()),
        (Verb::Update, Some("1.0"))
    );
}

#[test]
fn all_real_packages_are_looked_at_quickly() {
    let Some((_runs, _machine)) = host() else {
        return;
    };
    let apt = find(None).unwrap();
    let all = apt.list(&Watch::nobody()).unwrap();
    let said = run(
        "dpkg-query",
        &["--show", "--showformat=${db:Status-Abbrev}\n"],
    );
    assert_eq!(
        all.len(),
        said.lines().filter(|line| line.starts_with("ii")).count()
    );
    let names: Vec<_> = all
        .iter()
        .filter_map(|one| one.name.parse().ok())
        .take(300)
        .collect();
    let look = |count: usize| {
        let some: Vec<_> = names.iter().take(count).collect();
        // The best of three: other tests run beside this one.
        let times = (0..3).map(|_| {
            let begun = Instant::now();
            let installed = apt.installed(&some, &Watch::nobody()).unwrap();
            assert!(installed.len() >= count * 9 / 10);
            begun.elapsed()
        });
        times.min().unwrap()
    };
    let (one, many) = (look(1), look(names.len()));
    // A program for each would take as many times as long.
    assert!(many < 30 * one, "{one:?} {many:?}");
}
