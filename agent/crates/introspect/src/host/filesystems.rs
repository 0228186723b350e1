//! What is mounted, how full it is, and what btrfs has to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use secret_names::may_be_secret;
use serde::Serialize;

use super::look::{Look, MOST_ITEMS, Unknown};

/// The file systems of a machine.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Filesystems {
    /// What is mounted, in the order of mounting.
    pub mounts: Vec<Mount>,
    /// The btrfs file systems that are mounted.
    pub btrfs: Vec<Btrfs>,
    /// What could not be found out.
    pub unknown: Vec<Unknown>,
}

/// A mount (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Mount {
    /// Where.
    pub target: String,
    /// What: a device, or a name.
    pub source: String,
    /// The kind of file system.
    pub kind: String,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Options of the mount and of the file system. Values that may be secrets are `***`.
    pub options: Vec<String>,
    /// How full it is; none for what holds no data, and for what may make a look wait: network file systems.
    pub usage: Option<Usage>,
}

/// How full a file system is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Usage {
    /// Its size.
    pub total_bytes: u64,
    /// What is taken.
    pub used_bytes: u64,
    /// What programs without special rights can take.
    pub available_bytes: u64,
    /// How many files it can have; 0 where there is no such limit.
    pub files_total: u64,
    /// How many files it can have yet.
    pub files_free: u64,
}

/// A btrfs file system.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Btrfs {
    /// Its UUID.
    pub uuid: String,
    /// Its label.
    pub label: Option<String>,
    /// The devices that it is on.
    pub devices: Vec<String>,
    /// How its space is allotted.
    pub allocation: Vec<Allocation>,
    /// Features that it uses.
    pub features: Vec<String>,
    /// Where it is mounted.
    pub mounts: Vec<String>,
    /// Its subvolumes below the places where it is mounted, one level deep.
    pub subvolumes: Vec<Subvolume>,
}

/// Space that is allotted to one kind of content.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Allocation {
    /// What it is for: `data`, `metadata` or `system`.
    pub content: String,
    /// How it is laid out, such as `single`, `dup` or `raid1`.
    pub profiles: Vec<String>,
    /// What is allotted.
    pub total_bytes: Option<u64>,
    /// What is used of it.
    pub used_bytes: Option<u64>,
}

/// A subvolume.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subvolume {
    /// Where it can be seen.
    pub path: String,
    /// Its number.
    pub id: u64,
    /// Its UUID.
    pub uuid: Option<String>,
    /// The UUID of what it is a snapshot of.
    pub snapshot_of: Option<String>,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// File systems on somebody else's machine, or in somebody else's program: to ask them may take for ever.
const SLOW: [&str; 10] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "afs",
    "glusterfs",
    "autofs",
    "virtiofs",
];

/// Looks at what is mounted on this machine.
pub fn filesystems() -> Filesystems {
    let mut look = Look::at(Path::new("/"));
    let text = look.text("/proc/thread-self/mountinfo").unwrap_or_default();
    let mounts: Vec<_> = text.lines().filter_map(mount).collect();
    let mut mounts = look.cut("mounts", mounts);
    for mount in &mut mounts {
        mount.usage = usage(&mut look, mount);
    }
    let btrfs = btrfs_all(&mut look, &mounts);
    Filesystems {
        mounts,
        btrfs,
        unknown: look.unknown(),
    }
}

fn mount(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mount: Vec<_> = mount.split(' ').collect();
    let filesystem: Vec<_> = filesystem.split(' ').collect();
    let [_, _, _, root, target, options, ..] = mount[..] else {
        return None;
    };
    let [kind, source, inner, ..] = filesystem[..] else {
        return None;
    };
    let all: BTreeSet<&str> = options.split(',').chain(inner.split(',')).collect();
    Some(Mount {
        target: unescaped(target),
        source: unescaped(source),
        kind: kind.to_owned(),
        root: unescaped(root),
        options: all.into_iter().map(masked).collect(),
        usage: None,
    })
}

/// An option without what may be secret.
fn masked(option: &str) -> String {
    match option.split_once('=') {
        Some((key, _)) if may_be_secret(key) => format!("{key}=***"),
        _ => option.to_owned(),
    }
}

/// The kernel writes spaces and the like as `\` and three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        bytes.push(code.unwrap_or(*first));
        rest = match code {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn usage(look: &mut Look, mount: &Mount) -> Option<Usage> {
    if SLOW.contains(&mount.kind.as_str()) || mount.kind.starts_with("fuse") {
        return None;
    }
    match rustix::fs::statvfs(mount.target.as_str()) {
        Ok(found) if found.f_blocks == 0 => None,
        Ok(found) => Some(Usage {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            used_bytes: found
                .f_blocks
                .saturating_sub(found.f_bfree)
                .saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            files_total: found.f_files,
            files_free: found.f_ffree,
        }),
        Err(errno) => {
            look.miss(&mount.target, errno);
            None
        }
    }
}

fn btrfs_all(look: &mut Look, mounts: &[Mount]) -> Vec<Btrfs> {
    const BASE: &str = "/sys/fs/btrfs";
    let mut uuids = look.names(BASE);
    uuids.retain(|name| name.len() == 36 && name.contains('-'));
    let mut by_device: BTreeMap<String, Vec<&Mount>> = BTreeMap::new();
    for mount in mounts.iter().filter(|mount| mount.kind == "btrfs") {
        if let Some(device) = device_name(&mount.source) {
            by_device.entry(device).or_default().push(mount);
        }
    }
    let mut all = Vec::new();
    for uuid in uuids {
        let path = format!("{BASE}/{uuid}");
        let devices = look.names(&format!("{path}/devices"));
        let here = devices.iter().filter_map(|device| by_device.get(device));
        let here: Vec<&Mount> = here.flatten().copied().collect();
        // What another namespace has mounted is not ours to look into.
        if here.is_empty() {
            continue;
        }
        let subvolumes = subvolumes(look, &here);
        all.push(Btrfs {
            label: look.line(&format!("{path}/label")),
            allocation: ["data", "metadata", "system"]
                .map(|content| allocation(look, &path, content))
                .into(),
            features: look.names(&format!("{path}/features")),
            mounts: here.iter().map(|mount| mount.target.clone()).collect(),
            subvolumes,
            devices,
            uuid,
        });
    }
    all
}

/// The kernel's name of a device, such as `dm-0` for `/dev/mapper/root`.
fn device_name(source: &str) -> Option<String> {
    let real = std::fs::canonicalize(source).ok()?;
    Some(real.strip_prefix("/dev").ok()?.to_str()?.replace('/', "!"))
}

fn allocation(look: &mut Look, path: &str, content: &str) -> Allocation {
    let base = format!("{path}/allocation/{content}");
    let inside = look.names(&base);
    let is_profile = |name: &String| look.path(&format!("{base}/{name}/total_bytes")).is_file();
    Allocation {
        content: content.to_owned(),
        profiles: inside.into_iter().filter(is_profile).collect(),
        total_bytes: look.number(&format!("{base}/total_bytes")),
        used_bytes: look.number(&format!("{base}/bytes_used")),
    }
}

fn subvolumes(look: &mut Look, mounts: &[&Mount]) -> Vec<Subvolume> {
    let mut found: BTreeMap<u64, Subvolume> = BTreeMap::new();
    for mount in mounts {
        let path = Path::new(&mount.target);
        // A bind mount of a directory is no subvolume to list from.
        if !btrfs::is_subvolume(path).unwrap_or(false) {
            continue;
        }
        let below = match btrfs::children(path) {
            Ok(below) => below,
            Err(error) => {
                look.miss(&mount.target, error);
                Vec::new()
            }
        };
        for path in std::iter::once(path.to_owned()).chain(below) {
            if found.len() >= MOST_ITEMS {
                look.miss(&mount.target, "more subvolumes are left out");
                break;
            }
            match btrfs::info(&path) {
                Ok(info) => {
                    let uuid = |uuid: &Option<btrfs::Uuid>| uuid.as_ref().map(ToString::to_string);
                    found.entry(info.id).or_insert(Subvolume {
                        path: path.display().to_string(),
                        id: info.id,
                        uuid: uuid(&info.uuid),
                        snapshot_of: uuid(&info.parent_uuid),
                        read_only: info.read_only,
                    });
                }
                Err(error) => look.miss(path.display().to_string(), error),
            }
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line =
            r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - cifs //h/s rw,password=x,vers=3";
        let found = mount(line).unwrap();
        assert_eq!(
            (found.target.as_str(), found.kind.as_str()),
            ("/mnt 2", "cifs")
        );
        assert_eq!(found.options, ["noatime", "password=***", "rw", "vers=3"]);
        assert_eq!(found.source, "//h/s");
        for line in ["", " - ", "1 2 3 - a b", r"1 2 3 / \ rw - ext4"] {
            assert_eq!(mount(line), None);
        }
        assert_eq!(unescaped(r"a\04\777\134"), r"a\04\777\");
    }
}
