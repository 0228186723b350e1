//! What is refused, and what the ledger keeps of it.

use super::*;

#[test]
fn even_what_can_be_built_again_goes_only_by_its_plan() {
    let Some(host) = Host::new(1) else { return };
    let text = fs::read_to_string(&host.rig.file).unwrap();
    fs::write(&host.rig.file, text.replace(", old: {recipe: busybox}", "")).unwrap();
    let name = json!({ "name": "old" });
    let cases = [
        ("jsonrpc", "ada", "unconfirmed"),
        ("jsonrpc", "oscar", "refused"),
        ("cli", "root", "unconfirmed"),
    ];
    for (door, who, word) in cases {
        let count = host.rig.ledger(&[]).len();
        let ended = host.call(door, person(who), "template_destroy", &name, "");
        assert_eq!(ended, Err(word.to_owned()), "{who} by {door}");
        host.assert_refused(count, door, who, person(who), "template_destroy");
        assert!(host.template("old"), "{who} by {door}");
    }
}

/// An operator takes back what was done to resources, and no change of rights with it.
#[test]
fn rights_are_given_back_by_an_admin_alone() {
    let Some(host) = Host::new(0) else { return };
    let rig = &host.rig;
    let base = format!("{{base: {}}}", rig.base.display());
    let first = fs::read_to_string(&rig.file).unwrap();
    let declare = |compression: &str, viewers: &str| {
        let cache = format!("subvolumes: {{'@cache': {{compression: {compression}}}}}");
        let text = first
            .replace(&base, &format!("{{base: {}, {cache}}}", rig.base.display()))
            .replace("users: [viola]", viewers);
        fs::write(&rig.file, &text).unwrap();
        rig.json(&["apply"]).expect(0);
        text
    };
    let back = |name: &str| host.call("jsonrpc", person(name), "state_rollback", &json!({}), "");
    let now = || fs::read_to_string(&rig.file).unwrap();
    declare("lzo", "users: [viola]");
    // Viola has lost her role since.
    let second = declare("zstd", "users: []");
    let count = rig.ledger(&[]).len();
    assert_eq!(back("oscar"), Err("refused".to_owned()));
    assert_eq!(now(), second);
    let entry = host.entries_after(count).pop().unwrap();
    assert_eq!(entry["operation"], "state_rollback", "{entry:#}");
    assert_eq!(entry["metadata"]["actor"]["name"], "oscar", "{entry:#}");
    // What is of resources alone, he may.
    declare("lzo", "users: []");
    back("oscar").unwrap();
    assert_eq!(now(), second);
}

#[test]
fn what_is_refused_is_kept_without_its_secrets() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.allow("viewer");
    let viola = person("viola");
    let arguments = json!({
        "token": "swordfish",
        "Root-Password": { "value": "swordfish" },
        "list": [{ "private_key": "swordfish" }],
        "text": "swordfish".repeat(200),
        "name": "harmless",
    });
    for door in ["jsonrpc", "dbus"] {
        let count = host.rig.ledger(&[]).len();
        let ended = host.call(door, viola, "state_apply", &arguments, "");
        assert_eq!(ended, Err("refused".to_owned()));
        let entry = host.assert_refused(count, door, "viola", viola, "state_apply");
        assert_eq!(entry["metadata"]["arguments"]["name"], "harmless");
        assert!(!entry.to_string().contains("swordfish"), "{entry:#}");
    }
}

#[test]
fn no_argument_keeps_a_refusal_out_of_the_ledger_or_fills_it() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.allow("viewer");
    let viola = person("viola");
    let many: Vec<_> = (0..20_000).collect();
    let strange = [
        json!({ "number": 1e300 }),
        json!({ "number": u64::MAX, "list": [i64::MIN] }),
        json!({ "text": "\u{0}\u{1b}[2J\u{202e}" }),
        json!({ "many": many }),
        json!({ "name": "x".repeat(50_000) }),
        json!([1, 2, 3]),
        json!("text"),
    ];
    for door in ["jsonrpc", "dbus"] {
        for arguments in &strange {
            let count = host.rig.ledger(&[]).len();
            let ended = host.call(door, viola, "state_apply", arguments, "");
            assert_eq!(ended, Err("refused".to_owned()), "{door}");
            let entry = host.assert_refused(count, door, "viola", viola, "state_apply");
            assert!(
                entry.to_string().len() < 20_000,
                "{} bytes",
                entry.to_string().len()
            );
        }
    }
    // The same holds for a hash that is none.
    let count = host.rig.ledger(&[]).len();
    let ended = host.call(
        "jsonrpc",
        viola,
        "state_apply",
        &json!({}),
        &"0".repeat(50_000),
    );
    assert!(ended.is_err(), "{ended:?}");
    assert!(json!(host.entries_after(count)).to_string().len() < 20_000);
    host.rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn who_does_not_get_to_the_socket_is_not_served() {
    let Some(host) = Host::new(0) else { return };
    let Some(python) = rig::bus::python("import socket") else {
        return;
    };
    let connect = "import socket, sys\nsocket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    for (groups, gets) in [("60000", true), ("60010", false)] {
        let who = Who {
            uid: 60_004,
            groups,
        };
        for socket in [&host.daemon.jsonrpc, &host.daemon.api] {
            let mut command = as_who(who, &python);
            let output = command.arg("-c").arg(connect).arg(socket).output().unwrap();
            assert_eq!(
                output.status.success(),
                gets,
                "{groups} {}",
                socket.display()
            );
        }
    }
}
