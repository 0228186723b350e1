//! doctor: what this machine has and lacks, with the fix for each.

use std::path::Path;

use serde_json::json;

use crate::cli::Cli;
use crate::failure::Failure;
use tools::engine::Paths;

use crate::line::site;
use crate::screen::{Screen, table};

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    /// `None` if it is there, else what to do.
    fix: Option<String>,
    detail: String,
    /// Nothing works without it.
    needed: bool,
}

pub(super) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let site = site(cli)?;
    let declaration = site.declaration_if_any()?;
    let base = declaration.plugins.btrfs.base.clone();
    let run_dir = declaration.plugins.ovs.as_ref().map_or_else(
        || Path::new("/run/openvswitch").to_owned(),
        |ovs| ovs.run_dir.clone(),
    );
    let mut findings = vec![
        root(),
        kernel("btrfs", "/proc/filesystems", "btrfs", "modprobe btrfs"),
        on_btrfs(&base),
        program(
            "mkfs.btrfs",
            "btrfs-progs",
            false,
            "makes loop images for a base that is not on btrfs",
        ),
        program("lxc-start", "lxc", true, "runs containers"),
        program(
            "busybox",
            "busybox-static",
            false,
            "is the busybox template",
        ),
        program(
            "mmdebstrap",
            "mmdebstrap",
            false,
            "builds Debian and Ubuntu templates",
        ),
        program("tar", "tar", false, "unpacks templates from archives"),
        socket(&run_dir.join("db.sock")),
        Finding {
            what: "kernel datapath of Open vSwitch",
            detail: "bridges with `datapath: system`".to_owned(),
            fix: (!Path::new("/sys/module/openvswitch").exists()).then(|| {
                "modprobe openvswitch, or declare `datapath: netdev` (userspace)".to_owned()
            }),
            needed: false,
        },
        cgroups(),
    ];
    findings.push(ledger(&site.paths()?));
    let lacking = findings
        .iter()
        .any(|finding| finding.needed && finding.fix.is_some());
    let entries: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "what": finding.what,
                "ok": finding.fix.is_none(),
                "needed": finding.needed,
                "detail": finding.detail,
                "fix": finding.fix,
            })
        })
        .collect();
    screen.result(&json!({ "healthy": !lacking, "findings": entries }), || {
        let row = |finding: &Finding| {
            let state = match (&finding.fix, finding.needed) {
                (None, _) => "ok",
                (Some(_), true) => "MISSING",
                (Some(_), false) => "absent",
            };
            let fix = finding.fix.clone().unwrap_or_default();
            vec![
                finding.what.to_owned(),
                state.to_owned(),
                finding.detail.clone(),
                fix,
            ]
        };
        let rows: Vec<_> = findings.iter().map(row).collect();
        table(&["WHAT", "STATE", "FOR", "FIX"], &rows)
    });
    Ok(u8::from(lacking))
}

fn root() -> Finding {
    let root = rustix::process::geteuid().is_root();
    Finding {
        what: "root",
        detail: "changes the host".to_owned(),
        fix: (!root).then(|| "run with sudo".to_owned()),
        needed: true,
    }
}

fn kernel(what: &'static str, file: &str, word: &str, fix: &str) -> Finding {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    Finding {
        what,
        detail: "holds subvolumes and snapshots".to_owned(),
        fix: (!text.split_whitespace().any(|found| found == word)).then(|| fix.to_owned()),
        needed: true,
    }
}

fn on_btrfs(base: &declaration::Base) -> Finding {
    // Before the first apply the base is not there: what counts is where it would be made.
    let place = base.path.ancestors().find(|path| path.exists());
    let fits =
        base.image.is_some() || place.is_some_and(|place| btrfs::is_btrfs(place).unwrap_or(false));
    Finding {
        what: "base on btrfs",
        detail: base.path.display().to_string(),
        fix: (!fits).then(|| {
            "declare an image (base: {image: /var/lib/op-dbus.img, size: 8GiB}), mount a btrfs file \
             system there, or name another place with --base"
                .to_owned()
        }),
        needed: true,
    }
}

/// The marker that every NixOS has.
fn is_nixos() -> bool {
    Path::new("/etc/NIXOS").exists()
}

fn program(name: &'static str, package: &str, needed: bool, detail: &str) -> Finding {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    });
    Finding {
        what: name,
        detail: detail.to_owned(),
        fix: (!found).then(|| match is_nixos() {
            // The unit that applies the declaration brings its programs along.
            true => "add it to environment.systemPackages, to apply by hand".to_owned(),
            false => format!("apt-get install {package}"),
        }),
        needed,
    }
}

fn socket(path: &Path) -> Finding {
    let answer = std::os::unix::net::UnixStream::connect(path);
    Finding {
        what: "Open vSwitch",
        detail: path.display().to_string(),
        fix: answer.err().map(|error| match is_nixos() {
            true => format!("{error}: declare a bridge in services.operation-dbus.ovs"),
            false => format!(
                "{error}: apt-get install openvswitch-switch; systemctl start openvswitch-switch"
            ),
        }),
        needed: true,
    }
}

fn cgroups() -> Finding {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let legacy = Path::new("/sys/fs/cgroup/memory").exists();
    Finding {
        what: "control groups",
        detail: match unified {
            true => "version 2".to_owned(),
            false => "version 1: limits of containers".to_owned(),
        },
        fix: (!unified && !legacy).then(|| "mount the control groups on /sys/fs/cgroup".to_owned()),
        needed: false,
    }
}

fn ledger(paths: &Paths) -> Finding {
    let path = paths.ledger();
    let fix = match path.exists() {
        false => Some("the first `op-dbus apply` makes it".to_owned()),
        true => ledger::Ledger::open_read_only(&path)
            .and_then(|ledger| ledger.head())
            .err()
            .map(|error| error.to_string()),
    };
    Finding {
        what: "ledger",
        detail: path.display().to_string(),
        fix,
        needed: false,
    }
}
