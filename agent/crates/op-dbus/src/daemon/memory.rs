//! Keeps the memory of a long life small.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::Notify;

/// How long nobody has to call before memory is given back.
const CALM: Duration = Duration::from_secs(5);

/// What glibc has of its own (mallopt(3), malloc_trim(3)).
#[cfg(target_env = "gnu")]
mod glibc {
    pub(super) const M_ARENA_MAX: i32 = -8;

    #[allow(unsafe_code)]
    // SAFETY: both are as glibc declares them, take numbers only, and may be called at any time.
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: i32, value: i32) -> i32;
        pub(super) safe fn malloc_trim(pad: usize) -> i32;
    }
}

/// Lets all threads share two pools: else each keeps one, with what it once needed.
pub(super) fn share() {
    #[cfg(target_env = "gnu")]
    glibc::mallopt(glibc::M_ARENA_MAX, 2);
}

/// Gives back what the start and calls needed, once it has been calm after them for a while.
pub(super) async fn give_back(called: &Notify, rest: impl Fn()) {
    called.notify_one();
    loop {
        called.notified().await;
        while tokio::time::timeout(CALM, called.notified()).await.is_ok() {}
        rest();
        #[cfg(target_env = "gnu")]
        glibc::malloc_trim(0);
        leave_program();
    }
}

/// Lets go of the pages of the program itself, most of which only the start needed. The kernel has them in its cache, and
/// maps those again that are used (madvise(2), `MADV_DONTNEED`).
fn leave_program() {
    let (Ok(maps), Ok(program)) = (
        fs::read_to_string("/proc/self/maps"),
        fs::read_link("/proc/self/exe"),
    ) else {
        return;
    };
    for pages in never_written(&maps, &program.to_string_lossy()) {
        #[allow(unsafe_code)]
        // SAFETY: what is mapped there comes from the program's file and was never written, so it is read again as it was.
        let left = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(pages.start),
                pages.len(),
                libc::MADV_DONTNEED,
            )
        };
        if left != 0 {
            log::debug!(
                "pages of the program stay: {}",
                std::io::Error::last_os_error()
            );
        }
    }
}

/// Where code and constants of a program are mapped (proc_pid_maps(5)). What the loader has written into is left out: it
/// begins behind the code.
fn never_written(maps: &str, program: &str) -> Vec<Range<usize>> {
    let mapped = maps.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
        let of_program = line.split_once('/')?.1 == program.strip_prefix('/')?;
        let constant = rights == "r-xp" || (rights == "r--p" && offset == "00000000");
        let (start, end) = range.split_once('-')?;
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        (of_program && constant).then_some(address(start)?..address(end)?)
    });
    mapped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_is_left() {
        let maps = "\
55d0a0000000-55d0a06b8000 r--p 00000000 fe:00 42 /opt/my programs/op-dbus
55d0a06b8000-55d0a1aed000 r-xp 006b7000 fe:00 42 /opt/my programs/op-dbus
55d0a1aed000-55d0a1bd9000 r--p 01aeb000 fe:00 42 /opt/my programs/op-dbus
55d0a1bda000-55d0a1be2000 rw-p 01bd8000 fe:00 42 /opt/my programs/op-dbus
55d0b0000000-55d0b0021000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000028000 r--p 00000000 fe:00 7 /usr/lib/libc.so.6
7f0000028000-7f00001bd000 r-xp 00028000 fe:00 7 /usr/lib/libc.so.6
";
        assert_eq!(
            never_written(maps, "/opt/my programs/op-dbus"),
            [
                0x55d0_a000_0000..0x55d0_a06b_8000,
                0x55d0_a06b_8000..0x55d0_a1ae_d000
            ]
        );
        assert!(never_written("nonsense\n- r-xp 0 /x\n", "/x").is_empty());
    }

    fn of_files() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssFile:"));
        let size = line.unwrap().split_ascii_whitespace().nth(1).unwrap();
        size.parse().unwrap()
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        let before = of_files();
        leave_program();
        let after = of_files();
        assert!(after < before, "{before} kB, then {after} kB");
    }
}
