//! Roles by door and by declaration.

use super::*;

#[test]
fn each_door_gives_each_role_its_rights_and_no_more() {
    /// One for each that may destroy one.
    const CONTAINERS: usize = 5;
    let Some(host) = Host::new(CONTAINERS) else {
        return;
    };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    let mut cases: Vec<(&str, &str, Who, &str)> = vec![("cli", "root", ROOT, "admin")];
    for door in ["jsonrpc", "dbus"] {
        cases.extend(
            PEOPLE
                .iter()
                .map(|(name, who, role)| (door, *name, *who, *role)),
        );
    }
    let mut next = 0;
    for (door, name, who, role) in cases {
        let rank = ROLES.iter().position(|known| *known == role).unwrap();
        mock.allow(role);
        let refused = Err("refused".to_owned());
        let case = format!("{name} ({role}) by {door}");

        // What reads leaves no trace.
        let count = host.rig.ledger(&[]).len();
        for tool in ["state_verify", "template_list", "ledger_log"] {
            let read = host.call(door, who, tool, &json!({}), "");
            match rank >= 1 {
                true => assert!(read.is_ok(), "{case} {tool}: {read:?}"),
                false => assert_eq!(read, refused, "{case} {tool}"),
            }
        }
        assert_eq!(host.rig.ledger(&[]).len(), count, "{case}");

        // What writes.
        host.damage();
        let count = host.rig.ledger(&[]).len();
        let wrote = host.call(door, who, "state_apply", &json!({}), "");
        assert_eq!(host.cache().exists(), rank >= 2, "{case}: {wrote:?}");
        if rank >= 2 {
            let entry = host.entries_after(count).pop().unwrap();
            assert_eq!(wrote.unwrap()["outcome"], "applied", "{case}");
            assert_eq!(entry["operation"], "state_apply", "{entry:#}");
            assert_eq!(entry["metadata"]["outcome"], "done", "{entry:#}");
            assert_eq!(
                entry["metadata"]["actor"],
                json!({ "uid": who.uid, "name": name, "door": door })
            );
        } else {
            assert_eq!(wrote, refused, "{case}");
            host.assert_refused(count, door, name, who, "state_apply");
        }

        // What destroys: never without the plan's hash, and not with it for want of the right.
        let container = format!("c{next}");
        let arguments = json!({ "name": container });
        let dry = format!("name={container}");
        let plan = host.rig.json(&[
            "--here",
            "tool",
            "call",
            "container_destroy",
            &dry,
            "--dry-run",
        ]);
        let plan = plan.expect(0).json()["plan_hash"]
            .as_str()
            .unwrap()
            .to_owned();
        let count = host.rig.ledger(&[]).len();
        let unbound = host.call(door, who, "container_destroy", &arguments, "");
        let word = if rank >= 3 { "unconfirmed" } else { "refused" };
        assert_eq!(unbound, Err(word.to_owned()), "{case}");
        host.assert_refused(count, door, name, who, "container_destroy");
        assert!(host.container(&container), "{case}");
        let count = host.rig.ledger(&[]).len();
        let bound = host.call(door, who, "container_destroy", &arguments, &plan);
        if rank >= 3 {
            assert_eq!(bound.unwrap()["outcome"], "applied", "{case}");
            assert!(!host.container(&container), "{case}");
            next += 1;
        } else {
            assert_eq!(bound, refused, "{case}");
            host.assert_refused(count, door, name, who, "container_destroy");
            assert!(host.container(&container), "{case}");
        }

        // A tool that writes, and for more than writing: only for admins.
        let file = host
            .rig
            .machine
            .dir()
            .join("files")
            .join(format!("{door}-{name}"));
        let arguments = json!({ "path": file, "content": "swordfish" });
        let count = host.rig.ledger(&[]).len();
        let wrote = host.call(door, who, "file_write", &arguments, "");
        assert_eq!(wrote.is_ok(), rank >= 3, "{case}: {wrote:?}");
        assert_eq!(file.exists(), rank >= 3, "{case}");
        let entries = host.entries_after(count);
        assert_eq!(entries.len(), 1, "{case}: {entries:#?}");
        assert_eq!(
            entries[0]["metadata"]["arguments"]["content"], "redacted",
            "{:#}",
            entries[0]
        );
    }
    let ledger = json!(host.rig.ledger(&[])).to_string();
    assert!(!ledger.contains("swordfish"), "a secret is in the ledger");
    host.rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn roles_change_with_the_declaration_at_once() {
    let Some(host) = Host::new(0) else { return };
    let oscar = person("oscar");
    let read = || host.call("jsonrpc", oscar, "state_plan", &json!({}), "");
    read().unwrap();
    let text = fs::read_to_string(&host.rig.file).unwrap();
    fs::write(&host.rig.file, text.replace("users: [oscar]", "users: []")).unwrap();
    assert_eq!(read(), Err("refused".to_owned()));
    // A bad declaration gives nobody but root a role.
    fs::write(
        &host.rig.file,
        text.replace("reconcile: observe", "reconcile: sometimes"),
    )
    .unwrap();
    assert_eq!(read(), Err("refused".to_owned()));
    fs::write(&host.rig.file, text).unwrap();
    read().unwrap();
}
