//! The command `inspect`, as people use it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::Path;
use std::process::Command;

use rig::{Ended, Rig, op_dbus};
use serde_json::json;

#[test]
fn files_need_neither_daemon_nor_declaration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = write(
        "one.json",
        r#"{ "name": "a", "port": 80, "token": "hunter2" }"#,
    );
    let two = write("two.toml", "name = \"b\"\nport = 70000\n");
    let told = op_dbus(&["inspect", &one]).expect(0);
    assert!(told.out.contains("json, 47 bytes"), "{told:?}");
    assert!(
        told.out.contains("“a”") && !told.out.contains("hunter2"),
        "{told:?}"
    );
    let schema = op_dbus(&["inspect", &one, "--examples", &two, "--schema"])
        .expect(0)
        .json();
    assert_eq!(schema["required"], json!(["name", "port"]));

    let limit = write(
        "limit.json",
        r#"{ "properties": { "port": { "maximum": 65535 } } }"#,
    );
    op_dbus(&["inspect", &one, "--validate", &limit]).expect(0);
    let unfit = op_dbus(&["inspect", &two, "--validate", &limit]).expect(1);
    assert!(unfit.out.contains("/port"), "{unfit:?}");
    let unfit = op_dbus(&["--json", "inspect", &two, "--validate", &limit])
        .expect(1)
        .json();
    assert_eq!(unfit["sources"][0]["faults"][0]["place"], "/port");

    let program = op_dbus(&["--json", "inspect", "/bin/sh"]).expect(0).json();
    assert_eq!(program["format"], "elf");
    for (arguments, status) in [
        (vec!["inspect", "/nonexistent"], 1),
        (vec!["inspect", "dbus:x"], 2),
        (vec!["inspect", &one, "lxc:web"], 2),
        (vec!["inspect", &one, "--examples", "lxc:web"], 2),
        (vec!["inspect"], 2),
    ] {
        op_dbus(&arguments).expect(status);
    }
}

#[test]
fn standard_input_is_a_source() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
    command.args(["--json", "inspect", "-"]);
    let told = Ended::from(lab::feed(&mut command, b"a: 1\nb: [2]\n"));
    let told = told.expect(0).json();
    assert_eq!(told["format"], "yaml");
}

#[test]
fn what_is_learned_serves_later() {
    let Some(rig) = Rig::storage(512) else {
        return;
    };
    rig.declare("");
    rig.apply();
    let one = rig.machine.dir().join("one.json");
    let two = rig.machine.dir().join("two.json");
    fs::write(&one, r#"{ "name": "a" }"#).unwrap();
    fs::write(&two, r#"{ "title": "b" }"#).unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let learned = rig
        .json(&["inspect", one, "--learn", "app", "--note", "A thing"])
        .expect(0)
        .json();
    assert_eq!(learned["version"], 1);
    rig.run(&["inspect", one, "--validate", "app"]).expect(0);
    rig.run(&["inspect", two, "--validate", "app"]).expect(1);
    let found = rig.run(&["inspect", "--search", "thing"]).expect(0);
    assert!(found.out.contains("app"), "{found:?}");
    let template = rig
        .run(&["inspect", "--show", "app", "--template"])
        .expect(0)
        .json();
    assert_eq!(template, json!({ "name": "" }));
    rig.run(&["inspect", "--forget", "app"]).expect(3);
    rig.run(&["--yes", "inspect", "--forget", "app"]).expect(0);
    rig.run(&["inspect", "--show", "app"]).expect(2);
    let operations: Vec<_> = rig
        .ledger(&[])
        .iter()
        .map(|entry| entry["operation"].clone())
        .collect();
    assert!(
        operations.contains(&json!("inspect_learn"))
            && operations.contains(&json!("inspect_forget"))
    );

    let Some(_bus) = rig.machine.system_bus() else {
        return;
    };
    let told = rig
        .json(&["inspect", "dbus:org.freedesktop.DBus:/org/freedesktop/DBus"])
        .expect(0)
        .json();
    assert_eq!(told["format"], "dbus-object");
    let keys = &told["description"]["structure"]["keys"]["org.freedesktop.DBus"]["keys"];
    assert!(keys.get("Features").is_some(), "{told:#}");
    rig.run(&["inspect", "dbus:org.example.Nobody:/"]).expect(2);
}

/// A server with a certificate of its own: `/x.json`, over TLS, until it is killed.
const SERVER: &str = r#"
import http.server, ssl, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = b'{"colour": "green"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
server = http.server.HTTPServer(("127.0.0.1", 8443), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

#[test]
fn what_comes_over_tls_needs_a_certificate_that_is_trusted() {
    let Some(rig) = Rig::storage(128) else {
        return;
    };
    let make = |name: &str| {
        let place = |end: &str| rig.machine.dir().join(format!("{name}.{end}"));
        let (certificate, key) = (place("certificate"), place("key"));
        lab::self_signed("IP:127.0.0.1", &certificate, &key);
        (certificate, key)
    };
    let (certificate, key) = make("own");
    let server = Command::new("/usr/bin/python3")
        .args(["-c", SERVER])
        .args([&certificate, &key])
        .spawn()
        .unwrap();
    let _server = lab::Kept(server);
    lab::wait_for("the server", std::time::Duration::from_secs(60), || {
        std::net::TcpStream::connect("127.0.0.1:8443").ok()
    });
    let url = "https://127.0.0.1:8443/x.json";
    rig.declare_top(
        "access:\n  inspect: {urls: [\"https://127.0.0.1:8443/\"]}\n",
        "",
    );
    rig.apply();
    let look = |trusted: &Path| {
        let mut command = rig.command(&["--here", "--json", "inspect", url]);
        command
            .env_remove("SSL_CERT_DIR")
            .env("SSL_CERT_FILE", trusted);
        Ended::from(command.output().unwrap())
    };
    let shown = look(&certificate).expect(0).json();
    assert_eq!(shown["format"], "json", "{shown:#}");
    assert!(shown.to_string().contains("colour"), "{shown:#}");

    // Another one, and none at all.
    let (other, _) = make("other");
    for trusted in [&other, Path::new("/dev/null")] {
        let refused = look(trusted).expect(1);
        let said = refused.out.to_lowercase();
        assert!(said.contains("certificate"), "{refused:?}");
        assert!(!said.contains("colour"), "{refused:?}");
    }
}
