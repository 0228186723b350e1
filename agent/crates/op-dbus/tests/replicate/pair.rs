//! A host and its far end.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use lab::{names, run, subvolume_show, text};
use serde_json::json;

use crate::rig::{Ended, Rig};

/// A host, and a file system to replicate to.
pub(crate) struct Pair {
    pub(crate) rig: Rig,
    pub(crate) far: PathBuf,
}

impl Pair {
    pub(crate) fn new(near_mib: u64, far_mib: u64, more: &str) -> Option<Self> {
        let rig = Rig::storage(near_mib)?;
        let far = rig.machine.btrfs(far_mib).join("replica");
        fs::create_dir(&far).unwrap();
        let pair = Self { rig, far };
        pair.declare(more);
        pair.rig.apply();
        Some(pair)
    }

    /// Keys of the target `disk` beside its path.
    pub(crate) fn declare(&self, more: &str) {
        let target = format!(
            "replication: {{targets: {{disk: {{path: {}{more}}}}}}}\n",
            self.far.display()
        );
        self.rig.declare_top(&target, "");
    }

    /// A snapshot of these subvolumes.
    pub(crate) fn snapshot(&self, name: &str, subvolumes: &[&str]) {
        let place = self.rig.base.join("@snapshots").join(name);
        fs::create_dir(&place).unwrap();
        for subvolume in subvolumes {
            let source = self.rig.base.join(subvolume);
            btrfs::snapshot(source, place.join(subvolume), true).unwrap();
        }
        let manifest = json!({ "name": name }).to_string();
        fs::write(place.join("snapshot.json"), manifest).unwrap();
    }

    pub(crate) fn write(&self, file: &str, mib: usize) {
        let mut random = fs::File::open("/dev/urandom").unwrap();
        let mut bytes = vec![0; mib << 20];
        random.read_exact(&mut bytes).unwrap();
        fs::write(self.rig.base.join(file), bytes).unwrap();
    }

    pub(crate) fn replicate(&self) -> Ended {
        self.rig.json(&["replicate", "disk"])
    }

    pub(crate) fn start(&self) -> Child {
        let mut command = self.rig.command(&["--json", "replicate", "disk"]);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Everything at the far end, hidden or not.
    pub(crate) fn there(&self) -> Vec<String> {
        names(&self.far)
    }

    #[track_caller]
    pub(crate) fn assert_same(&self, snapshot: &str, subvolume: &str) {
        let near = self
            .rig
            .base
            .join("@snapshots")
            .join(snapshot)
            .join(subvolume);
        let far = self.far.join(snapshot).join(subvolume);
        run("diff", &["-r", "--no-dereference", text(&near), text(&far)]);
        assert_eq!(
            subvolume_show(&far, "Received UUID"),
            subvolume_show(&near, "UUID")
        );
        assert_eq!(subvolume_show(&far, "Flags"), "readonly");
    }
}
