//! The requests and structures of `linux/btrfs.h` and `linux/loop.h`, byte for byte.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::io::{Errno, Result};
use rustix::ioctl::{Getter, Ioctl, IoctlOutput, NoArg, Opcode, Setter, Updater, ioctl, opcode};

/// `BTRFS_SUPER_MAGIC`, `linux/magic.h`.
pub(crate) const BTRFS_MAGIC: u64 = 0x9123_683E;
/// `BTRFS_FIRST_FREE_OBJECTID`: the inode number of the root of each subvolume.
pub(crate) const ROOT_INODE: u64 = 256;

const BTRFS: u8 = 0x94;
/// `BTRFS_VOL_NAME_MAX`.
const NAME_MAX: usize = 255;
/// `BTRFS_SUBVOL_RDONLY`.
const SUBVOL_RDONLY: u64 = 1 << 1;
/// Entries of one answer of `BTRFS_IOC_GET_SUBVOL_ROOTREF`.
const ROOTREFS: usize = 255;

const RESIZE: Opcode = opcode::write::<VolArgs>(BTRFS, 3);
const SYNC: Opcode = opcode::none(BTRFS, 8);
const SNAP_DESTROY: Opcode = opcode::write::<VolArgs>(BTRFS, 15);
const SNAP_CREATE_V2: Opcode = opcode::write::<VolArgsV2>(BTRFS, 23);
const SUBVOL_CREATE_V2: Opcode = opcode::write::<VolArgsV2>(BTRFS, 24);
const SUBVOL_GETFLAGS: Opcode = opcode::read::<u64>(BTRFS, 25);
const SUBVOL_SETFLAGS: Opcode = opcode::write::<u64>(BTRFS, 26);
const SEND: Opcode = opcode::write::<SendArgs>(BTRFS, 38);
const DEV_INFO: Opcode = opcode::read_write::<DevInfo>(BTRFS, 30);
const GET_SUBVOL_INFO: Opcode = opcode::read::<SubvolInfo>(BTRFS, 60);
const GET_SUBVOL_ROOTREF: Opcode = opcode::read_write::<RootRefs>(BTRFS, 61);
const INO_LOOKUP_USER: Opcode = opcode::read_write::<InoLookupUser>(BTRFS, 62);

// These are older than the scheme that the other numbers follow.
const LOOP_GET_STATUS64: Opcode = 0x4C05;
const LOOP_SET_CAPACITY: Opcode = 0x4C07;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
/// `LO_FLAGS_AUTOCLEAR`.
const AUTOCLEAR: u32 = 4;

/// `struct btrfs_ioctl_vol_args`
#[repr(C)]
struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`
#[repr(C)]
struct VolArgsV2 {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_timespec`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Timespec {
    pub(crate) sec: u64,
    pub(crate) nsec: u32,
}

/// `struct btrfs_ioctl_get_subvol_info_args`
#[repr(C)]
pub(crate) struct SubvolInfo {
    pub(crate) treeid: u64,
    name: [u8; NAME_MAX + 1],
    pub(crate) parent_id: u64,
    dirid: u64,
    pub(crate) generation: u64,
    flags: u64,
    pub(crate) uuid: [u8; 16],
    pub(crate) parent_uuid: [u8; 16],
    pub(crate) received_uuid: [u8; 16],
    /// Of the last change of its content, of its making, of the sending, of the receiving.
    pub(crate) transids: [u64; 4],
    ctime: Timespec,
    pub(crate) otime: Timespec,
    stime: Timespec,
    rtime: Timespec,
    reserved: [u64; 8],
}

impl SubvolInfo {
    /// Whether `BTRFS_ROOT_SUBVOL_RDONLY` (the on-disk flag, not the ioctl's) is set.
    pub(crate) fn read_only(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// One subvolume in another: its id, and the inode of the directory that holds it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RootRef {
    treeid: u64,
    dirid: u64,
}

/// `struct btrfs_ioctl_get_subvol_rootref_args`
#[repr(C)]
struct RootRefs {
    min_treeid: u64,
    refs: [RootRef; ROOTREFS],
    num_items: u8,
    align: [u8; 7],
}

/// `struct btrfs_ioctl_ino_lookup_user_args`
#[repr(C)]
struct InoLookupUser {
    dirid: u64,
    treeid: u64,
    name: [u8; NAME_MAX + 1],
    path: [u8; 4080 - NAME_MAX - 1],
}

/// `struct btrfs_ioctl_send_args`
#[repr(C)]
struct SendArgs {
    fd: i64,
    clone_sources_count: u64,
    clone_sources: *const u64,
    parent_root: u64,
    flags: u64,
    version: u32,
    reserved: [u8; 28],
}

/// `struct btrfs_ioctl_dev_info_args`
#[repr(C)]
struct DevInfo {
    devid: u64,
    uuid: [u8; 16],
    bytes_used: u64,
    total_bytes: u64,
    unused: [u64; 379],
    path: [u8; 1024],
}

/// `struct loop_info64`
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LoopInfo {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `LOOP_CTL_GET_FREE`, which answers with its return value.
struct GetFree;

#[allow(unsafe_code)]
// SAFETY: the request takes no argument, writes no memory and returns a number.
unsafe impl Ioctl for GetFree {
    type Output = u32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut std::ffi::c_void) -> Result<u32> {
        u32::try_from(out).map_err(|_| Errno::OVERFLOW)
    }
}

#[allow(unsafe_code)]
fn tell<const REQUEST: Opcode>(fd: impl AsFd) -> Result<()> {
    // SAFETY: used below with requests that take no argument.
    unsafe { ioctl(fd, NoArg::<REQUEST>::new()) }
}

#[allow(unsafe_code)]
fn set<const REQUEST: Opcode, T>(fd: impl AsFd, argument: T) -> Result<()> {
    // SAFETY: used below with each request's own structure, which the kernel only reads.
    unsafe { ioctl(fd, Setter::<REQUEST, T>::new(argument)) }
}

#[allow(unsafe_code)]
fn get<const REQUEST: Opcode, T>(fd: impl AsFd) -> Result<T> {
    // SAFETY: used below with requests that fill the whole of their own structure, all integers.
    unsafe { ioctl(fd, Getter::<REQUEST, T>::new()) }
}

#[allow(unsafe_code)]
fn ask<const REQUEST: Opcode, T>(fd: impl AsFd, argument: &mut T) -> Result<()> {
    // SAFETY: used below with each request's own structure, all integers.
    unsafe { ioctl(fd, Updater::<REQUEST, T>::new(argument)) }
}

/// A name as a null-terminated field of `N` bytes; no longer than the kernel allows in a directory.
fn field<const N: usize>(name: &OsStr) -> Result<[u8; N]> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Errno::INVAL);
    }
    if bytes.len() > NAME_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let mut field = [0; N];
    field[..bytes.len()].copy_from_slice(bytes);
    Ok(field)
}

/// The text of a null-terminated field.
fn text(field: &[u8]) -> &OsStr {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    OsStr::from_bytes(&field[..end])
}

pub(crate) fn create_subvolume(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    set::<SUBVOL_CREATE_V2, _>(
        parent,
        VolArgsV2 {
            fd: 0,
            transid: 0,
            flags: 0,
            unused: [0; 4],
            name: field(name)?,
        },
    )
}

pub(crate) fn create_snapshot(
    source: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    name: &OsStr,
    read_only: bool,
) -> Result<()> {
    set::<SNAP_CREATE_V2, _>(
        parent,
        VolArgsV2 {
            fd: source.as_raw_fd().into(),
            transid: 0,
            flags: if read_only { SUBVOL_RDONLY } else { 0 },
            unused: [0; 4],
            name: field(name)?,
        },
    )
}

pub(crate) fn destroy_subvolume(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    set::<SNAP_DESTROY, _>(
        parent,
        VolArgs {
            fd: 0,
            name: field(name)?,
        },
    )
}

pub(crate) fn set_read_only(subvolume: BorrowedFd<'_>, read_only: bool) -> Result<()> {
    let flags: u64 = get::<SUBVOL_GETFLAGS, u64>(subvolume)?;
    let wanted = if read_only {
        flags | SUBVOL_RDONLY
    } else {
        flags & !SUBVOL_RDONLY
    };
    set::<SUBVOL_SETFLAGS, u64>(subvolume, wanted)
}

pub(crate) fn subvolume_info(subvolume: BorrowedFd<'_>) -> Result<SubvolInfo> {
    get::<GET_SUBVOL_INFO, SubvolInfo>(subvolume)
}

/// The subvolumes that lie directly in this one, at any depth of directories.
pub(crate) fn nested(subvolume: BorrowedFd<'_>) -> Result<Vec<RootRef>> {
    let mut found = Vec::new();
    let mut answer = RootRefs {
        min_treeid: 0,
        refs: [RootRef {
            treeid: 0,
            dirid: 0,
        }; ROOTREFS],
        num_items: 0,
        align: [0; 7],
    };
    loop {
        let more = match ask::<GET_SUBVOL_ROOTREF, _>(subvolume, &mut answer) {
            Ok(()) => false,
            // The answer is full, and `min_treeid` says where to go on.
            Err(Errno::OVERFLOW) => true,
            Err(error) => return Err(error),
        };
        found.extend_from_slice(&answer.refs[..usize::from(answer.num_items).min(ROOTREFS)]);
        if !more {
            return Ok(found);
        }
    }
}

/// The path of a nested subvolume from the subvolume that it lies in.
pub(crate) fn nested_path(
    subvolume: BorrowedFd<'_>,
    nested: RootRef,
) -> Result<std::path::PathBuf> {
    let mut answer = InoLookupUser {
        dirid: nested.dirid,
        treeid: nested.treeid,
        name: [0; NAME_MAX + 1],
        path: [0; 4080 - NAME_MAX - 1],
    };
    ask::<INO_LOOKUP_USER, _>(subvolume, &mut answer)?;
    Ok(std::path::Path::new(text(&answer.path)).join(text(&answer.name)))
}

/// Writes the stream of a read-only subvolume into a pipe, and returns when the last of it is written.
///
/// `parent` is the id of the subvolume that the stream builds on, which is its source of clones too.
pub(crate) fn send(
    subvolume: BorrowedFd<'_>,
    pipe: BorrowedFd<'_>,
    parent: Option<u64>,
    flags: u64,
) -> Result<()> {
    let sources: Vec<u64> = parent.into_iter().collect();
    // The kernel reads the list while the call lasts, and `sources` outlives it.
    set::<SEND, _>(
        subvolume,
        SendArgs {
            fd: pipe.as_raw_fd().into(),
            clone_sources_count: sources.len() as u64,
            clone_sources: sources.as_ptr(),
            parent_root: parent.unwrap_or(0),
            flags,
            version: 0,
            reserved: [0; 28],
        },
    )
}

pub(crate) fn sync(directory: BorrowedFd<'_>) -> Result<()> {
    tell::<SYNC>(directory)
}

/// Resizes the file system to the size of its first device.
pub(crate) fn resize_to_device(mount_point: BorrowedFd<'_>) -> Result<()> {
    set::<RESIZE, _>(
        mount_point,
        VolArgs {
            fd: 0,
            name: field(OsStr::new("1:max"))?,
        },
    )
}

/// Bytes that the file system uses of its first device.
pub(crate) fn device_bytes(mount_point: BorrowedFd<'_>) -> Result<u64> {
    let mut answer = DevInfo {
        devid: 1,
        uuid: [0; 16],
        bytes_used: 0,
        total_bytes: 0,
        unused: [0; 379],
        path: [0; 1024],
    };
    ask::<DEV_INFO, _>(mount_point, &mut answer)?;
    Ok(answer.total_bytes)
}

/// The number of a loop device that was free a moment ago.
#[allow(unsafe_code)]
pub(crate) fn loop_get_free(control: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: see `GetFree`.
    unsafe { ioctl(control, GetFree) }
}

/// Backs a loop device with a file until its last user goes; `EBUSY` if it is not free.
pub(crate) fn loop_configure(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<()> {
    let info = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    set::<LOOP_CONFIGURE, _>(
        device,
        LoopConfig {
            fd: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?,
            block_size: 0,
            info,
            reserved: [0; 8],
        },
    )
}

/// What backs a loop device; `ENXIO` if nothing does.
pub(crate) fn loop_status(device: BorrowedFd<'_>) -> Result<LoopInfo> {
    get::<LOOP_GET_STATUS64, LoopInfo>(device)
}

/// Makes a loop device see the new size of its file.
pub(crate) fn loop_set_capacity(device: BorrowedFd<'_>) -> Result<()> {
    tell::<LOOP_SET_CAPACITY>(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers carry the sizes of the structures, so that they check the layouts too.
    #[test]
    fn the_requests_have_the_numbers_of_the_headers() {
        assert_eq!(RESIZE, 0x5000_9403);
        assert_eq!(SYNC, 0x9408);
        assert_eq!(SNAP_DESTROY, 0x5000_940f);
        assert_eq!(SNAP_CREATE_V2, 0x5000_9417);
        assert_eq!(SUBVOL_CREATE_V2, 0x5000_9418);
        assert_eq!(SUBVOL_GETFLAGS, 0x8008_9419);
        assert_eq!(SUBVOL_SETFLAGS, 0x4008_941a);
        assert_eq!(SEND, 0x4048_9426);
        assert_eq!(DEV_INFO, 0xd000_941e);
        assert_eq!(GET_SUBVOL_INFO, 0x81f8_943c);
        assert_eq!(GET_SUBVOL_ROOTREF, 0xd000_943d);
        assert_eq!(INO_LOOKUP_USER, 0xd000_943e);
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
    }

    #[test]
    fn names_that_no_directory_can_hold_are_refused() {
        assert_eq!(field::<4040>(OsStr::new("")), Err(Errno::INVAL));
        assert_eq!(field::<4040>(OsStr::from_bytes(b"a\0b")), Err(Errno::INVAL));
        let long = "n".repeat(256);
        assert_eq!(field::<4040>(OsStr::new(&long)), Err(Errno::NAMETOOLONG));
        let fits = "n".repeat(255);
        let stored = field::<4040>(OsStr::new(&fits)).unwrap();
        assert_eq!(text(&stored), OsStr::new(&fits));
    }
}
