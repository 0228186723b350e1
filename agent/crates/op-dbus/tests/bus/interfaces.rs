//! What the interfaces say they are, and the tools behind them.

use super::*;

#[test]
fn the_interfaces_say_what_they_are() {
    let Some((_rig, bus, _daemon)) = host() else {
        return;
    };
    let listed = bus
        .run(ROOT, "busctl", &["--system", "introspect", NAME, PATH])
        .expect(0)
        .out;
    let xml = bus
        .run(
            ROOT,
            "gdbus",
            &[
                "introspect",
                "--system",
                "--dest",
                NAME,
                "--object-path",
                PATH,
                "--xml",
            ],
        )
        .expect(0)
        .out;
    let members = [
        (
            "State",
            "Plan Apply Confirm Rollback Verify Query Status Reconcile Text Drift Version",
        ),
        ("Containers", "List Show Create Start Stop Restart Destroy"),
        ("Ledger", "Log Show Verify Head EntryAdded"),
        ("Tools", "List Describe Call Cancel Progress Completed"),
    ];
    for (interface, members) in members {
        assert!(
            listed.contains(&format!("org.opdbus1.{interface} ")),
            "{listed}"
        );
        assert!(
            xml.contains(&format!("<interface name=\"org.opdbus1.{interface}\">")),
            "{xml}"
        );
        for member in members.split(' ') {
            assert!(
                listed.contains(&format!(".{member} ")),
                "{interface}.{member}: {listed}"
            );
            assert!(
                xml.contains(&format!(" name=\"{member}\"")),
                "{interface}.{member}: {xml}"
            );
        }
    }
    // busctl gives the same, with what each is for.
    let xml = bus
        .run(
            ROOT,
            "busctl",
            &["--system", "--xml-interface", "introspect", NAME, PATH],
        )
        .expect(0)
        .out;
    for sentence in [
        "What Apply would change (state_plan).",
        "Removes a container and all its data (container_destroy).",
        "The status in a sentence; takes the right to read.",
        "A call of yours has ended;",
    ] {
        assert!(xml.contains(sentence), "{sentence}: {xml}");
    }
    // Arguments have names, since people read them.
    for name in ["template", "values", "plan", "serial", "filter"] {
        assert!(xml.contains(&format!("name=\"{name}\"")), "{name}: {xml}");
    }
}

#[test]
fn the_methods_are_the_tools() {
    let Some((rig, bus, daemon)) = host() else {
        return;
    };
    let tool = |name: &str, arguments: Value| {
        let text = arguments.to_string();
        rig.json(&["--here", "tool", "call", name, &text])
            .expect(0)
            .json()
    };
    assert_eq!(
        answer(&bus, "State", "Plan", &[]),
        tool("state_plan", json!({}))
    );
    assert_eq!(answer(&bus, "State", "Verify", &[])["converged"], true);
    let query = json!({ "plugin": "btrfs", "limit": 1000 });
    assert_eq!(
        answer(&bus, "State", "Query", &["s", "btrfs"]),
        tool("state_query", query)
    );
    let whole = answer(&bus, "State", "Query", &["s", ""]);
    assert!(whole["plugins"]["btrfs"]["@cache"].is_object(), "{whole:#}");
    let log = answer(&bus, "Ledger", "Log", &["a{sv}", "1", "limit", "u", "2"]);
    assert_eq!(log["entries"].as_array().unwrap().len(), 2, "{log:#}");
    let head = bus.run(
        ROOT,
        "busctl",
        &[
            "--system",
            "get-property",
            NAME,
            PATH,
            "org.opdbus1.Ledger",
            "Head",
        ],
    );
    let head = head.expect(0).out.trim().replace("x ", "");
    assert_eq!(log["entries"][0]["id"].to_string(), head);
    assert_eq!(
        answer(&bus, "Ledger", "Show", &["x", &head])["operation"],
        "state_apply"
    );
    assert_eq!(answer(&bus, "Ledger", "Verify", &[])["valid"], true);

    let names = bus.call("Tools", "List", &[]).expect(0).out;
    let known = rig.json(&["--here", "tool", "list"]).expect(0).json();
    let known = known
        .as_array()
        .or(known["tools"].as_array())
        .expect("tools");
    for tool in known {
        assert!(names.contains(&tool["name"].to_string()), "{tool}: {names}");
    }
    let shown = answer(&bus, "Tools", "Describe", &["s", "state_apply"]);
    assert_eq!(
        shown,
        rig.json(&["--here", "tool", "show", "state_apply"])
            .expect(0)
            .json()
    );
    let called = answer(&bus, "Tools", "Call", &["ssa{sv}", "state_plan", "", "0"]);
    assert_eq!(called, tool("state_plan", json!({})));
    // The other program says the same.
    let called = bus
        .gdbus(ROOT, "Tools", "Call", &["state_verify", "{}", "@a{sv} {}"])
        .expect(0);
    assert!(called.out.contains("\"converged\":true"), "{called:?}");
    let properties = bus.run(
        ROOT,
        "busctl",
        &[
            "--system",
            "--json=short",
            "get-property",
            NAME,
            PATH,
            "org.opdbus1.State",
            "Status",
            "Reconcile",
            "Drift",
        ],
    );
    for value in ["\"converged\"", "\"enforce\"", "\"as\",\"data\":[]"] {
        assert!(properties.out.contains(value), "{properties:?}");
    }

    // What is not in order is mended by hand too, bound to the plan that was shown.
    rig.declare_top("reconcile: observe\n", "");
    daemon.wait_until("the other mode", SOON, |host| {
        host["reconcile"] == "observe"
    });
    lab::run(
        "btrfs",
        &[
            "subvolume",
            "delete",
            rig.base.join("@cache").to_str().unwrap(),
        ],
    );
    let plan = answer(&bus, "State", "Plan", &[]);
    let hash = plan["plan_hash"].as_str().unwrap();
    let other = bus
        .gdbus(ROOT, "State", "Apply", &["{'plan': <'0123456789abcdef'>}"])
        .expect(1);
    assert!(
        other.err.contains("org.opdbus1.Error.PlanChanged"),
        "{other:?}"
    );
    let dry = answer(
        &bus,
        "State",
        "Apply",
        &["a{sv}", "1", "dry_run", "b", "true"],
    );
    assert_eq!(dry["plan_hash"], hash);
    assert!(!rig.base.join("@cache").exists());
    let applied = answer(
        &bus,
        "State",
        "Apply",
        &["a{sv}", "2", "plan", "s", hash, "confirm_s", "t", "0"],
    );
    assert_eq!(applied["outcome"], "applied");
    assert!(rig.base.join("@cache").exists());
    let entry = rig.ledger(&["--operation", "state_apply"]).pop().unwrap();
    assert_eq!(
        entry["metadata"]["actor"],
        json!({ "uid": 0, "name": "root", "door": "dbus" })
    );
}
