//! Who gets in, and what they may.

use super::*;

#[test]
fn nobody_gets_in_without_a_token_that_is_declared() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();

    let none = web.post("/mcp", "", &list).expect(401);
    let challenge = "www-authenticate: bearer realm=\"op-dbus\", scope=\"mcp:read\"";
    assert!(none.head.contains(challenge), "{none:#?}");
    for wrong in ["x", &host.viewer[1..], &format!("{}a", host.viewer)] {
        let wrong = web.post("/mcp", &bearer(wrong), &list).expect(401);
        assert!(wrong.head.contains("invalid_token"), "{wrong:#?}");
    }
    let twice = bearer(&host.viewer).repeat(2);
    for odd in [
        &twice,
        "Authorization: Basic dTpw\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer a b\r\n",
    ] {
        web.post("/mcp", odd, &list).expect(401);
    }
    // Neither does the token help anywhere but in its header.
    let query = format!("/mcp?access_token={}", host.viewer);
    web.post(&query, "", &list).expect(400);
    web.post(&query, &bearer(&host.viewer), &list).expect(400);

    let listed = web.ask(&host.viewer, "tools/list", json!({})).expect(200);
    let listed = listed.json();
    assert!(listed["result"]["tools"][0]["name"].is_string(), "{listed}");
    // With wrong ones still coming, the right one goes on working.
    let mut limited = false;
    for _ in 0..40 {
        let reply = web.ask("wrong", "tools/list", json!({}));
        assert!(matches!(reply.status, 401 | 429), "{reply:#?}");
        limited |= reply.status == 429;
    }
    assert!(limited);
    web.ask(&host.viewer, "tools/list", json!({})).expect(200);

    // A file that others may read opens nothing any more, at once.
    let file = host.rig.machine.dir().join("token-viewer");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let closed = web.ask(&host.viewer, "tools/list", json!({}));
    assert!(matches!(closed.status, 401 | 429), "{closed:#?}");

    // No secret is in any log, nor in the ledger.
    let ledger = json!(host.rig.ledger(&[])).to_string();
    let daemon = std::fs::read_to_string(host.rig.machine.dir().join("daemon.log")).unwrap();
    for secret in [&host.viewer, &host.operator, &host.admin] {
        for text in [&ledger, &daemon, &web.said()] {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
    assert!(daemon.contains("wrong token"), "{daemon}");
}

#[test]
fn scopes_are_roles_and_what_they_do_is_in_the_ledger() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    host.damage();
    let refused = web.call(&host.viewer, "state_apply", json!({})).expect(403);
    assert!(
        refused
            .head
            .contains("error=\"insufficient_scope\", scope=\"mcp:write\""),
        "{refused:#?}"
    );
    let text = refused.json()["error"]["message"].to_string();
    assert!(text.contains("web.tokens.viewer.scopes"), "{text}");
    assert!(!host.rig.base.join("@cache").exists());

    let read = web
        .call(&host.viewer, "state_status", json!({}))
        .expect(200)
        .json();
    assert_ne!(read["result"]["isError"], true, "{read}");
    let done = web
        .call(&host.operator, "state_apply", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        done["result"]["structuredContent"]["outcome"], "applied",
        "{done}"
    );
    assert!(host.rig.base.join("@cache").exists());
    let low = web
        .call(&host.operator, "container_destroy", json!({ "name": "x" }))
        .expect(403);
    assert!(low.head.contains("scope=\"mcp:destroy\""), "{low:#?}");
    // The admin is let through: that there is no such container is the tool's to say.
    let high = web
        .call(&host.admin, "container_destroy", json!({ "name": "x" }))
        .expect(200);
    assert_eq!(high.json()["result"]["isError"], true, "{high:#?}");

    let entries = host.rig.ledger(&["--operation", "state_apply"]);
    let of = |name: &str, outcome: &str| {
        entries.iter().any(|entry| {
            let data = &entry["metadata"];
            let actor = json!({ "uid": 60_010, "name": name, "door": "mcp" });
            data["actor"] == actor && data["outcome"] == outcome
        })
    };
    assert!(of("token:viewer", "refused"), "{entries:#?}");
    assert!(of("token:operator", "done"), "{entries:#?}");
    let admin = host.rig.ledger(&["--operation", "container_destroy"]);
    assert!(
        admin
            .iter()
            .any(|entry| entry["metadata"]["actor"]["name"] == "token:operator")
    );
}

#[test]
fn tasks_of_a_token_are_its_own_and_done_with_the_scopes_it_has_then() {
    let Some(host) = Host::new() else { return };
    let call = |token: &str, tool: &str, arguments: Value| {
        let call = json!({ "name": tool, "arguments": arguments });
        let call = json!({ "name": "tool_execute", "arguments": call });
        let answer = host.web.ask_at("/mcp/full", token, "tools/call", call);
        let answer = answer.expect(200).json();
        assert!(answer["result"].is_object(), "{answer:#}");
        answer["result"].clone()
    };
    let submit = |token: &str, task: Value| {
        let task = call(token, "task_submit", task);
        assert_ne!(task["isError"], true, "{task:#}");
        task["structuredContent"]["result"]["id"].clone()
    };
    let ended = |token: &str, id: &Value| {
        wait_for("the end of the task", SOON, || {
            let task = call(token, "task_show", json!({ "id": id }));
            Some(task["structuredContent"]["result"].clone())
                .filter(|task| task["finished"].is_i64())
        })
    };
    let run = |name: &str| json!({ "operation": "command_run", "arguments": { "name": name } });

    let read = submit(&host.operator, json!({ "operation": "host_info" }));
    assert_eq!(ended(&host.operator, &read)["state"], "done");
    let hidden = call(&host.viewer, "task_show", json!({ "id": read }));
    assert_eq!(hidden["isError"], true, "{hidden:#}");
    let listed = call(&host.viewer, "task_list", json!({}));
    assert_eq!(listed["structuredContent"]["result"]["tasks"], json!([]));

    let done = submit(&host.admin, run("nothing"));
    assert_eq!(ended(&host.admin, &done)["state"], "done");
    let entry = host.rig.ledger(&["--operation", "command_run"]).pop();
    assert_eq!(
        entry.unwrap()["metadata"]["actor"],
        json!({ "uid": 60_010, "name": "token:admin", "door": "agent" })
    );

    // A token that is gone when its task's turn comes may nothing any more.
    let hang = ["task", "submit", "command_run", "name=hang"];
    host.rig.json(&hang).expect(0);
    let late = submit(&host.admin, run("nothing"));
    host.rig.declare_top(&commands(host.rig.machine.dir()), "");
    std::fs::write(host.rig.machine.dir().join("go"), "").unwrap();
    let late = late.to_string();
    let failed = wait_for("the end of the task", SOON, || {
        let task = host.rig.json(&["task", "show", &late]).expect(0).json();
        Some(task).filter(|task| task["finished"].is_i64())
    });
    assert_eq!(failed["error"]["code"], "refused", "{failed:#}");
    let text = failed["error"]["message"].to_string();
    assert!(text.contains("`admin` is not declared any more"), "{text}");
}

#[test]
fn the_web_server_itself_may_nothing() {
    let Some(host) = Host::new() else { return };
    let script = "import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        s.sendall(sys.argv[2].encode() + b'\\n')\nprint(s.makefile().readline())";
    let Some(python) = rig::bus::python("import socket") else {
        return lab::skip("needs python3");
    };
    let ask = |method: &str, params: Value| -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut command = rig::web::as_web(&python);
        command
            .args(["-c", script])
            .arg(&host.daemon.jsonrpc)
            .arg(request.to_string());
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let call = ask(
        "tools.call",
        json!({ "name": "state_status", "arguments": {}, "via": "mcp" }),
    );
    assert_eq!(call["error"]["data"]["code"], "refused", "{call}");
    let who = ask("access.whoami", json!({}));
    assert_eq!(who["result"]["role"], Value::Null, "{who}");
    let who = ask("access.whoami", json!({ "token": host.operator }));
    assert_eq!(who["result"]["name"], "token:operator");
    assert_eq!(who["result"]["role"], "operator");
    assert_eq!(who["result"]["scopes"], json!(["mcp:write"]));
    for odd in [
        json!({ "token": 7 }),
        json!({ "via": "cli" }),
        json!({ "tokens": "" }),
    ] {
        assert_eq!(ask("access.whoami", odd)["error"]["code"], -32602);
    }
    let wrong = ask(
        "tools.call",
        json!({ "name": "state_status", "token": "secret-of-another" }),
    );
    assert_eq!(wrong["error"]["data"]["code"], "unauthenticated");
    assert!(!wrong.to_string().contains("secret-of-another"));
}

#[test]
fn only_loopback_is_listened_on_and_tokens_are_made_once() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    for address in ["0.0.0.0:8080", "10.0.0.1:80", "[::]:80", "nonsense"] {
        let refused = rig.run(&["web", "--listen", address]).expect(2);
        assert!(refused.err.contains("127.0.0.1"), "{refused:?}");
    }
    let (secret, _) = make_token(&rig, "laptop", "mcp:read");
    assert!(
        secret.starts_with("opdbus_") && secret.len() == 50,
        "{secret}"
    );
    let file = rig.machine.dir().join("token-laptop");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), secret);
    let again = rig.run(&["web", "token", "laptop", "--file", file.to_str().unwrap()]);
    let again = again.expect(3);
    assert!(again.err.contains("remove it first"), "{again:?}");
    rig.run(&["web", "token", "a b"]).expect(2);
    rig.run(&["web", "token", "x", "--scope", "all"]).expect(2);
}
