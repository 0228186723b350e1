//! Questions about days, of a ledger that has some.

use std::process::Command;
use std::time::Duration;

use lab::wait_for;

use super::client::Client;
use super::*;

/// The command at noon of another day.
fn at_noon(rig: &Rig, day: &str, arguments: &[&str]) {
    let command = rig.command(arguments);
    let output = Command::new("faketime")
        .arg(format!("{day} 12:00"))
        .arg(command.get_program())
        .args(command.get_args())
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env_remove("SSH_CONNECTION")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Waits until the day will not end in the middle of a test.
pub(super) fn not_around_midnight() {
    let hour = || lab::run("date", &["+%H%M"]).trim().to_owned();
    wait_for("the next day", Duration::from_secs(150), || {
        (!["2358", "2359"].contains(&hour().as_str())).then_some(())
    });
}

/// What a sentence finds: the targets of the entries.
fn found(chat: &mut Client, sentence: &str) -> Vec<String> {
    chat.say(sentence);
    let searched = chat.done("search");
    assert_eq!(searched["status"], "done", "{searched:#}");
    let rows = searched["answer"]["rows"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("no table: {searched:#}"));
    let target = |row: &Value| row["target"].as_str().unwrap_or_default().to_owned();
    rows.iter().map(target).collect()
}

#[test]
fn what_changed_yesterday_is_not_what_changed_today() {
    if !lab::has("faketime") {
        return lab::skip("needs faketime");
    }
    let Some(rig) = Rig::storage(256) else { return };
    not_around_midnight();
    rig.declare("");
    at_noon(&rig, "2 days ago", &["--yes", "apply"]);
    let made = ["snapshot", "create", "of-yesterday", "@state"];
    at_noon(&rig, "yesterday", &made);
    let host = Host::of(rig, "");
    let made = ["snapshot", "create", "of-today", "@state"];
    host.rig.json(&made).expect(0);

    let mut chat = Client::new(&host.web, &host.viewer);
    let targets = found(&mut chat, "what changed yesterday?");
    assert_eq!(targets, ["of-yesterday"]);
    let targets = found(&mut chat, "what changed today?");
    assert!(targets.contains(&"of-today".to_owned()), "{targets:?}");
    assert!(!targets.contains(&"of-yesterday".to_owned()), "{targets:?}");
}
