//! What the worker gives up before it looks at a model, which somebody else made.

use std::io;

use nix::sched::{CloneFlags, unshare};
use rustix::process::{Gid, Resource, Rlimit, Uid, geteuid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::Error;

/// The account that owns nothing (`nobody` everywhere, the kernel's overflow id).
const NOBODY: u32 = 65_534;

/// Address space, in bytes: more than a model of the largest size takes.
const MEMORY: u64 = 8 << 30;

/// Open files: the two ends of the asker, the log, and what is read of the machine.
const FILES: u64 = 64;

/// Gives up the network, root's account, all capabilities, and most of memory and files. To be called by the only
/// thread, since those that are started later inherit all of it.
///
/// # Errors
///
/// Where root cannot become somebody else: then nothing of the model is looked at.
pub(crate) fn confine() -> Result<(), Error> {
    let failed = |doing| move |source: io::Error| Error::Process { doing, source };
    if geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC)
            .map_err(io::Error::from)
            .map_err(failed("cannot leave the network"))?;
        become_nobody().map_err(failed("cannot give up root's rights"))?;
    } else if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
        // Whoever called has no more rights than this process then.
        log::debug!("the model's process keeps its caller's network: {error}");
    }
    give_up_the_rest().map_err(failed("cannot give up rights that it does not need"))
}

fn become_nobody() -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    // With the last of root's ids all capabilities go too.
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

fn give_up_the_rest() -> io::Result<()> {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_no_new_privs(true)?;
    set_capabilities(None, none)?;
    setrlimit(Resource::As, limit(MEMORY))?;
    setrlimit(Resource::Nofile, limit(FILES))?;
    Ok(setrlimit(Resource::Core, limit(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_root_and_of_the_network_is_left() {
        if !geteuid().is_root() {
            return lab::skip("needs root");
        }
        // Of this thread alone, but for the limits.
        let confined = std::thread::spawn(|| {
            confine().unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let net = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            (status, net, unshare(CloneFlags::CLONE_NEWNET))
        });
        let (status, net, again) = confined.join().unwrap();
        for line in [
            "Uid:\t65534\t65534\t65534\t65534",
            "Gid:\t65534\t65534\t65534\t65534",
            "CapEff:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "no {line:?} in\n{status}");
        }
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        assert_eq!(groups.map(str::trim), Some(""));
        let interfaces = net.lines().skip(2).map(|line| line.split(':').next());
        assert_eq!(
            interfaces.flatten().map(str::trim).collect::<Vec<_>>(),
            ["lo"]
        );
        assert_eq!(again, Err(nix::errno::Errno::EPERM));
    }
}
