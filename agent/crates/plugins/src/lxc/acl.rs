//! POSIX access control lists, as the kernel keeps them in an extended attribute.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use rustix::io::Errno;

/// `XATTR_NAME_POSIX_ACL_ACCESS` of `linux/xattr.h`.
const ATTRIBUTE: &str = "system.posix_acl_access";
/// `POSIX_ACL_XATTR_VERSION` of `linux/posix_acl_xattr.h`; all numbers are little-endian.
const VERSION: [u8; 4] = 2u32.to_le_bytes();
/// Larger than what a file system takes (`XATTR_SIZE_MAX` of `linux/limits.h`).
const LARGEST: usize = 65_536;
/// `ACL_UNDEFINED_ID`.
const NO_ID: u32 = u32::MAX;

// Tags of `linux/posix_acl.h`; entries are sorted by them, then by id.
const USER_OBJECT: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJECT: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The permission to pass through a directory.
const PASS: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: u16,
    id: u32,
    permissions: u16,
}

/// Who may do what with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccessList(Vec<Entry>);

impl AccessList {
    /// The list of `path`, or what its permissions come to if it has none.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut value = vec![0; LARGEST];
        match lgetxattr(path, ATTRIBUTE, &mut value[..]) {
            Ok(length) => Self::decode(&value[..length])
                .ok_or_else(|| io::Error::other("its access control list cannot be read")),
            Err(Errno::NODATA) => {
                let mode = path.symlink_metadata()?.permissions().mode();
                Ok(Self::from_mode(mode))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the list to `path`.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        Ok(lsetxattr(
            path,
            ATTRIBUTE,
            &self.encode(),
            XattrFlags::empty(),
        )?)
    }

    /// Lets a user pass through the directory; `false` if that is so already.
    pub(super) fn let_pass(&mut self, id: u32) -> bool {
        let entry = Entry {
            tag: USER,
            id,
            permissions: PASS,
        };
        if self.0.contains(&entry) {
            return false;
        }
        self.forget(id);
        self.0.push(entry);
        // The mask bounds what users and the group get, and stands for the group's permissions in the
        // file's mode.
        if !self.0.iter().any(|entry| entry.tag == MASK) {
            let group = self.0.iter().find(|entry| entry.tag == GROUP_OBJECT);
            let permissions = group.map_or(0, |group| group.permissions);
            self.0.push(Entry {
                tag: MASK,
                id: NO_ID,
                permissions,
            });
        }
        for mask in self.0.iter_mut().filter(|entry| entry.tag == MASK) {
            mask.permissions |= PASS;
        }
        self.0.sort();
        true
    }

    /// Takes a user out of the list; `false` if it is not in it.
    pub(super) fn forget(&mut self, id: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| entry.tag != USER || entry.id != id);
        self.0.len() != before
    }

    fn from_mode(mode: u32) -> Self {
        let entry = |tag, shift: u32| Entry {
            tag,
            id: NO_ID,
            permissions: (mode >> shift & 0o7) as u16,
        };
        Self(vec![
            entry(USER_OBJECT, 6),
            entry(GROUP_OBJECT, 3),
            entry(OTHER, 0),
        ])
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_vec();
        for entry in &self.0 {
            bytes.extend(entry.tag.to_le_bytes());
            bytes.extend(entry.permissions.to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.strip_prefix(&VERSION)?.as_chunks::<8>();
        let entries = entries.iter().map(|&[a, b, c, d, e, f, g, h]| Entry {
            tag: u16::from_le_bytes([a, b]),
            permissions: u16::from_le_bytes([c, d]),
            id: u32::from_le_bytes([e, f, g, h]),
        });
        rest.is_empty().then(|| Self(entries.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_may_pass_and_the_others_may_not() {
        let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o770)).unwrap();
        let mut list = AccessList::read(path).unwrap();
        assert!(list.let_pass(0x7000_0000) && list.let_pass(5));
        assert!(!list.let_pass(5));
        match list.write(path) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return lab::skip("needs a file system with access control lists");
            }
            written => written.unwrap(),
        }
        assert_eq!(AccessList::read(path).unwrap(), list);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o770);
        assert!(list.forget(5) && !list.forget(5));
    }

    #[test]
    fn the_mask_lets_pass_where_the_group_may_not() {
        let mut list = AccessList::from_mode(0o700);
        list.let_pass(7);
        let group = list
            .0
            .iter()
            .find(|entry| entry.tag == GROUP_OBJECT)
            .unwrap();
        let mask = list.0.iter().find(|entry| entry.tag == MASK).unwrap();
        assert_eq!((group.permissions, mask.permissions), (0, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(list) = AccessList::decode(&bytes) {
                prop_assert_eq!(list.encode(), bytes);
            }
        }
    }
}
