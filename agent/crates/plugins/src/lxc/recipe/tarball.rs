//! The recipe `tarball`: a root file system in an archive, known by its hash.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reconcile::PluginError;
use sha2::{Digest, Sha256};

use super::super::program;
use super::super::rootfs::{RootFs, is_directory};
use super::ROOTFS;

/// What LXC starts.
const INIT: &str = "sbin/init";

pub(super) fn build(
    path: &Path,
    sha256: &str,
    workshop: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), PluginError> {
    let doing = format!("unpack {}", path.display());
    let failed = |error: io::Error| PluginError::failed(&doing, error);
    let mut archive = File::open(path).map_err(failed)?;
    progress("checking the archive");
    let found = hash(&mut archive).map_err(failed)?;
    if found != sha256 {
        return Err(PluginError::unavailable(
            format!("{} has the SHA-256 {found}, not {sha256}", path.display()),
            "get the right archive, or declare this one's SHA-256",
        ));
    }
    progress("unpacking");
    let unpacked = workshop.join("unpacked");
    fs::create_dir(&unpacked)
        .and_then(|()| fs::set_permissions(&unpacked, Permissions::from_mode(0o755)))
        .map_err(failed)?;
    archive.rewind().map_err(failed)?;
    unpack(archive, &unpacked, &doing)?;
    let root = settle(&unpacked, workshop).map_err(failed)?;
    must_have_init(&root, path)
}

fn hash(archive: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match archive.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unpack(archive: File, into: &Path, doing: &str) -> Result<(), PluginError> {
    let mut command = Command::new(program::path("tar")?);
    // The very file that was checked; by name, so that tar finds out how it is compressed.
    command.args([
        "--extract",
        "--file=/dev/stdin",
        "--numeric-owner",
        "--preserve-permissions",
    ]);
    command.args([
        "--same-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--directory",
    ]);
    command.arg(into).stdin(Stdio::from(archive));
    program::follow(&mut command, doing, |_| {})
}

/// Moves the root file system to its place: the archive holds it as it is, or in a directory `rootfs`.
fn settle(unpacked: &Path, workshop: &Path) -> io::Result<PathBuf> {
    let root = workshop.join(ROOTFS);
    let inner = unpacked.join(ROOTFS);
    if is_directory(&inner) && !is_directory(&unpacked.join("etc")) {
        fs::rename(inner, &root)?;
        fs::remove_dir_all(unpacked)?;
    } else {
        fs::rename(unpacked, &root)?;
    }
    Ok(root)
}

fn must_have_init(root: &Path, archive: &Path) -> Result<(), PluginError> {
    if RootFs::open(root).is_ok_and(|rootfs| rootfs.has(INIT)) {
        return Ok(());
    }
    Err(PluginError::unavailable(
        format!(
            "{} holds no root file system: it has no {INIT}",
            archive.display()
        ),
        "take an archive of a whole system, with its root at the top or in a directory `rootfs`",
    ))
}
