//! The walk-through in the docs, command by command.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{destroy, running};
use crate::rig::Rig;

/// The commands between two marks of the walk-through.
fn walk(part: &str) -> String {
    let page = include_str!("../../../../../docs/disaster-recovery.md");
    let mark = format!("<!-- walk: {part} -->\n```sh\n");
    let (_, rest) = page.split_once(&mark).expect("the mark is in the page");
    let (commands, _) = rest.split_once("```\n<!-- walk end -->").expect("it ends");
    commands.to_owned()
}

/// The walk-through in the docs, command by command.
#[test]
fn the_walk_through_can_be_walked() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11)]);
    let place = rig.machine.dir().join("walk");
    fs::create_dir(&place).unwrap();
    // The command as people type it, on this machine.
    let command = format!(
        "#!/bin/sh\nexec {} --file {} \"$@\"\n",
        env!("CARGO_BIN_EXE_op-dbus"),
        rig.file.display()
    );
    let program = place.join("op-dbus");
    fs::write(&program, command).unwrap();
    fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let go = |part: &str, old_head: &str| {
        let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euxc", &walk(part)])
            .current_dir(&place)
            .env("PATH", path)
            .env("BASE", &rig.base)
            .env("OLD_HEAD", old_head)
            .env_remove("SSH_CONNECTION")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{out}\n{err}");
        out
    };
    go("before", "");
    let exported: Value =
        serde_json::from_slice(&fs::read(place.join("host.json")).unwrap()).unwrap();
    destroy(&rig);
    let out = go("after", exported["ledger"]["hash"].as_str().unwrap());
    assert!(out.contains("Converged"), "{out}");
    assert!(out.contains("Nothing to do"), "{out}");
    assert!(out.contains("Valid"), "{out}");
    assert_eq!(running(&rig), ["tool", "web-01"]);
    rig.assert_converged();
}
