//! What files a caller reaches: below the declared roots, and for most callers only what is for everybody.
//!
//! A path is resolved by the kernel from a descriptor of its root (`openat2`, RESOLVE_BENEATH), so that no
//! symbolic link leads out of it, however it changes meanwhile. What is found is looked at before it is
//! opened, so that no device or FIFO is touched.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2, readlink};
use rustix::io::Errno;

use super::secret;
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;

/// How often a path is resolved anew when something is renamed on its way.
const ATTEMPTS: usize = 32;
/// The longest path, in bytes (`PATH_MAX`).
const LONGEST: usize = 4096;

/// Never out of the root, never over the links of `/proc` that are no paths.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The roots that count for a call.
pub(in crate::builtin) struct Reach {
    roots: Vec<PathBuf>,
    /// Their key in the declaration.
    key: &'static str,
    /// The role of a caller who sees only what everybody may read.
    everybody: Option<Role>,
}

/// A file or directory that may be read, and is open.
#[derive(Debug)]
pub(in crate::builtin) struct Opened {
    pub(in crate::builtin) fd: OwnedFd,
    pub(super) stat: Stat,
    /// Its path without symbolic links.
    pub(super) real: PathBuf,
}

impl Opened {
    pub(in crate::builtin) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }
}

/// Where a file is, or is to be: its directory, and its name there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
}

impl Reach {
    /// What is read for this caller.
    pub(in crate::builtin) fn reading(call: &Call<'_>) -> Self {
        Self {
            roots: call.site.access().files.read,
            key: "access.files.read",
            everybody: call.caller.role.filter(|role| *role < Role::Admin),
        }
    }

    /// What is written, which takes an admin.
    pub(super) fn writing(call: &Call<'_>) -> Self {
        Self {
            roots: call.site.access().files.write,
            key: "access.files.write",
            everybody: None,
        }
    }

    /// Whether only what everybody may read is seen.
    pub(super) fn only_public(&self) -> bool {
        self.everybody.is_some()
    }

    /// Opens a regular file or a directory for reading.
    pub(in crate::builtin) fn open(&self, path: &Path) -> Result<Opened, ToolError> {
        let (root, rest) = self.root_of(path)?;
        secret::refuse(path)?;
        let root_fd = open_root(&root)?;
        if let Some(role) = self.everybody {
            // Before the whole is looked up, so that what is not there and what is hidden look the same.
            public_way(&root_fd, &rest, role, path)?;
        }
        let found =
            resolve(&root_fd, &rest, BENEATH).map_err(|errno| self.refused(path, &root, errno))?;
        let opened = reopen(&found, path)?;
        secret::refuse(&opened.real)?;
        if let Some(role) = self.everybody {
            public(&root_fd, &opened, role, path)?;
        }
        Ok(opened)
    }

    /// Opens the directory of a file that is to be written.
    pub(super) fn place(&self, path: &Path) -> Result<Place, ToolError> {
        let (root, rest) = self.root_of(path)?;
        secret::refuse(path)?;
        let name = path.file_name().ok_or_else(|| {
            ToolError::Invalid(format!("{} cannot be the name of a file", path.display()))
        })?;
        let root_fd = open_root(&root)?;
        let above = rest.parent().map(Path::to_owned).unwrap_or_default();
        if rest.as_os_str().is_empty() {
            return Err(ToolError::Invalid(format!(
                "{} is a directory: name a file below it",
                path.display()
            )));
        }
        let found =
            resolve(&root_fd, &above, BENEATH).map_err(|errno| self.refused(path, &root, errno))?;
        let opened = reopen(&found, path)?;
        secret::refuse(&opened.real.join(name))?;
        match opened.is_directory() {
            true => Ok(Place {
                directory: opened.fd,
                name: name.to_owned(),
            }),
            false => Err(ToolError::Invalid(format!(
                "what {} would lie in is no directory",
                path.display()
            ))),
        }
    }

    /// The directory that a path is resolved from, and the way from there. For a root that is a file it is
    /// the directory that it lies in.
    fn root_of(&self, path: &Path) -> Result<(PathBuf, PathBuf), ToolError> {
        let bad = |why: &str| ToolError::Invalid(format!("`{}` {why}", path.display()));
        if !path.is_absolute() || path.as_os_str().len() > LONGEST {
            return Err(bad("is no absolute path: it has to begin with `/`"));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(bad("has a NUL in it, which no path can have"));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(bad("goes up by `..`: write the path without it"));
        }
        if self.roots.is_empty() {
            return Err(ToolError::Refused(format!(
                "no files are reached on this host: name directories under `{}` of the declaration",
                self.key
            )));
        }
        let mut roots: Vec<_> = self
            .roots
            .iter()
            .filter(|root| path.starts_with(root))
            .collect();
        roots.sort_by_key(|root| root.components().count());
        let root = roots.pop().ok_or_else(|| {
            let known: Vec<_> = self
                .roots
                .iter()
                .map(|root| root.display().to_string())
                .collect();
            ToolError::Refused(format!(
                "{} is out of reach: `{}` of the declaration has {}",
                path.display(),
                self.key,
                known.join(", ")
            ))
        })?;
        let rest = path.strip_prefix(root).unwrap_or(path);
        match (root.parent(), root.file_name()) {
            (Some(above), Some(name)) if rest.as_os_str().is_empty() && !root.is_dir() => {
                Ok((above.to_owned(), name.into()))
            }
            _ => Ok((root.clone(), rest.components().collect())),
        }
    }

    fn refused(&self, path: &Path, root: &Path, errno: Errno) -> ToolError {
        let path = path.display();
        match errno {
            Errno::NOENT | Errno::NOTDIR => ToolError::NotFound(format!("there is no {path}")),
            Errno::XDEV => ToolError::Refused(format!(
                "{path} leads out of {} by a symbolic link (one that begins with `/` counts as that): ask \
                 for the path that it points at, which has to lie under `{}` of the declaration",
                root.display(),
                self.key
            )),
            Errno::LOOP => ToolError::Refused(format!(
                "{path} goes over too many symbolic links, or over one of /proc that is no path"
            )),
            Errno::ACCESS | Errno::PERM => {
                ToolError::Refused(format!("the system does not let this process reach {path}"))
            }
            Errno::NOSYS => ToolError::Unavailable(
                "this kernel is too old to reach files safely: it takes Linux 5.6 (openat2)"
                    .to_owned(),
            ),
            Errno::AGAIN => ToolError::Failed(format!(
                "{path} was renamed again and again while it was looked up; try again"
            )),
            errno => ToolError::failed(&format!("open {path}"), errno),
        }
    }
}

fn open_root(root: &Path) -> Result<OwnedFd, ToolError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(root, flags, Mode::empty()).map_err(|errno| {
        let doing = format!("open {}, which the declaration names", root.display());
        match errno {
            Errno::NOENT => ToolError::NotFound(format!("{doing}: it is not there")),
            errno => ToolError::failed(&doing, errno),
        }
    })
}

/// Looks a path up without opening what is there.
pub(super) fn resolve(from: impl AsFd, path: &Path, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    let mut attempts = 0;
    loop {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match openat2(&from, path, flags, Mode::empty(), how) {
            // Something was renamed, and the kernel cannot be sure.
            Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => attempts += 1,
            found => return found,
        }
    }
}

/// Opens for reading what was found, if it is a regular file or a directory.
pub(super) fn reopen(found: &OwnedFd, path: &Path) -> Result<Opened, ToolError> {
    let failed = |errno: Errno| ToolError::failed(&format!("open {}", path.display()), errno);
    let stat = fstat(found).map_err(failed)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => None,
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("of an unknown kind"),
    };
    if let Some(kind) = kind {
        return Err(ToolError::Refused(format!(
            "{} is {kind}: only regular files and directories are read",
            path.display()
        )));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = open(descriptor(found), flags, Mode::empty()).map_err(failed)?;
    let real = real_path(&fd)?;
    Ok(Opened { fd, stat, real })
}

fn descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Where an open file is now.
fn real_path(fd: &OwnedFd) -> Result<PathBuf, ToolError> {
    use std::os::unix::ffi::OsStringExt;
    let path = readlink(descriptor(fd), Vec::new());
    let path = path.map_err(|errno| ToolError::failed("look up where a file is", errno))?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

/// Refuses a way on which there is a directory that not everybody may pass.
fn public_way(root: &OwnedFd, rest: &Path, role: Role, path: &Path) -> Result<(), ToolError> {
    let mut way = PathBuf::new();
    let mut parts = rest.components().peekable();
    passable(root, role, path)?;
    while let Some(part) = parts.next() {
        way.push(part);
        if parts.peek().is_none() {
            break;
        }
        // What cannot be looked up is told of by the look-up of the whole.
        match resolve(root, &way, BENEATH) {
            Ok(directory) => passable(&directory, role, path)?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// Refuses what not everybody may read: by its own mode, and by those of the directories that it really lies
/// in, from the root down.
fn public(root: &OwnedFd, opened: &Opened, role: Role, path: &Path) -> Result<(), ToolError> {
    let mode = Mode::from_raw_mode(opened.stat.st_mode);
    if !mode.contains(Mode::ROTH) || (opened.is_directory() && !mode.contains(Mode::XOTH)) {
        return Err(hidden(role, path));
    }
    let moved = || {
        ToolError::Failed(format!(
            "{} was moved while it was read; try again",
            path.display()
        ))
    };
    let root_path = real_path(root)?;
    let rest = opened.real.strip_prefix(&root_path).map_err(|_| moved())?;
    passable(root, role, path)?;
    let strict = BENEATH.union(ResolveFlags::NO_SYMLINKS);
    let mut way = PathBuf::new();
    let mut last = fstat(root);
    let count = rest.components().count();
    for (place, part) in rest.components().enumerate() {
        way.push(part);
        let found = resolve(root, &way, strict).map_err(|_| moved())?;
        last = fstat(&found);
        if place + 1 < count {
            passable(&found, role, path)?;
        }
    }
    // The way that was checked has to be that of the file that is open.
    match last {
        Ok(stat) if (stat.st_dev, stat.st_ino) == (opened.stat.st_dev, opened.stat.st_ino) => {
            Ok(())
        }
        _ => Err(moved()),
    }
}

/// Refuses a directory that not everybody may pass.
fn passable(directory: &OwnedFd, role: Role, path: &Path) -> Result<(), ToolError> {
    let stat = fstat(directory)
        .map_err(|errno| ToolError::failed(&format!("look at {}", path.display()), errno))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match !is_directory || Mode::from_raw_mode(stat.st_mode).contains(Mode::XOTH) {
        true => Ok(()),
        false => Err(hidden(role, path)),
    }
}

fn hidden(role: Role, path: &Path) -> ToolError {
    ToolError::Refused(format!(
        "{} is not for everybody on this host, by its own mode or by that of a directory above it, and the \
         role {role} sees only what every user may read: it takes the role admin",
        path.display()
    ))
}
