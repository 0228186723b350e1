//! Replication: each target is a place of its own, and none lies in what is sent.

use std::collections::BTreeMap;
use std::path::Path;

use crate::problem::DocumentPath;
use crate::replication::Replication;

use super::Check;

pub(super) fn check(replication: &Replication, base: &Path, check: &mut Check<'_>) {
    let mut places = BTreeMap::new();
    for (name, target) in &replication.targets {
        let path = DocumentPath::of(["replication", "targets", name.as_str()]);
        if !check.intact(&path) {
            continue;
        }
        let host = target.ssh.as_ref().map(|ssh| (&ssh.host, ssh.port));
        if let Some(other) = places.insert((host, &target.path), name) {
            let found = format!("the directory of `{other}`");
            let accepted = "a directory of its own";
            check.report(path.key("path"), found, accepted, None);
        }
        if target.ssh.is_none() && target.path.starts_with(base) {
            let found = format!("a directory in the base, {}", base.display());
            let accepted = "a directory on another file system";
            let hint = "a copy beside the original is lost with it".to_owned();
            check.report(path.key("path"), found, accepted, hint);
        }
        if let Some(ssh) = &target.ssh
            && ssh.identity_file == ssh.known_hosts_file
        {
            let accepted = "a file of its own";
            check.report(
                path.key("ssh").key("knownHostsFile"),
                "the file of the private key",
                accepted,
                None,
            );
        }
    }
}
