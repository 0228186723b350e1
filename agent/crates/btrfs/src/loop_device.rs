//! Loop devices: block devices that are files (`loop(4)`).

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result, failed};
use crate::kernel;

const CONTROL: &str = "/dev/loop-control";
/// Others take a device between our asking for a free one and our taking it, but not so often.
const ATTEMPTS: u32 = 100;

/// A loop device with a file behind it. It goes when nobody uses it: not this value, no mount.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    device: File,
}

impl LoopDevice {
    /// Puts a free loop device before the file at `image`.
    pub fn attach(image: impl AsRef<Path>) -> Result<Self> {
        let image = image.as_ref();
        let file = open_both_ways(image)?;
        let control = open_both_ways(Path::new(CONTROL))?;
        for _ in 0..ATTEMPTS {
            let number = kernel::loop_get_free(control.as_fd())
                .map_err(failed("find a loop device for", image))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = open_both_ways(&path)?;
            match kernel::loop_configure(device.as_fd(), file.as_fd()) {
                Ok(()) => return Ok(Self { path, device }),
                Err(Errno::BUSY) => {}
                Err(errno) => return Err(Error::new("attach a loop device to", image, errno)),
            }
        }
        Err(Error::new("attach a loop device to", image, Errno::BUSY))
    }

    /// The loop device that has the file at `image` behind it already, under whatever name.
    pub fn of(image: impl AsRef<Path>) -> Result<Option<Self>> {
        let image = image.as_ref();
        let wanted = fs::metadata(image).map_err(failed("look at", image))?;
        for number in attached()? {
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let Ok(device) = open_both_ways(&path) else {
                continue;
            };
            // It may have been detached since it was listed.
            if let Ok(backing) = kernel::loop_status(device.as_fd())
                && backing.device == wanted.dev()
                && backing.inode == wanted.ino()
            {
                return Ok(Some(Self { path, device }));
            }
        }
        Ok(None)
    }

    /// The device's file, `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the device as large as the file has become.
    pub fn follow_file_size(&self) -> Result<()> {
        kernel::loop_set_capacity(self.device.as_fd()).map_err(failed("resize", &self.path))
    }
}

/// The file behind the loop device at `device`; `None` if it is no loop device or has none.
pub(crate) fn backing_file(device: &Path) -> Option<PathBuf> {
    let name = device.strip_prefix("/dev").ok()?;
    let path = Path::new("/sys/block").join(name).join("loop/backing_file");
    let text = fs::read(path).ok()?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    Some(OsStr::from_bytes(text).into())
}

/// The numbers of the loop devices that have a file behind them.
fn attached() -> Result<Vec<u32>> {
    let devices = Path::new("/sys/block");
    let mut found = Vec::new();
    for entry in fs::read_dir(devices).map_err(failed("list", devices))? {
        let entry = entry.map_err(failed("list", devices))?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix("loop")?.parse().ok());
        if let Some(number) = number
            && entry.path().join("loop/backing_file").exists()
        {
            found.push(number);
        }
    }
    Ok(found)
}

fn open_both_ways(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(failed("open", path))
}
