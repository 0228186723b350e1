//! TLS: 1.3 and nothing older, with a certificate made at the first start.

use std::path::Path;

use super::browser::code;
use super::*;

/// What `openssl s_client` says, given these options.
fn shake(options: &[&str], request: &str) -> String {
    let mut command = std::process::Command::new("openssl");
    command
        .args(["s_client", "-connect", rig::web::ADDRESS, "-ign_eof"])
        .args(options);
    let ended = lab::feed(&mut command, request.as_bytes());
    let text = [ended.stdout, ended.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn with_state(state: &Path) -> impl FnOnce(&mut std::process::Command) + '_ {
    move |command| {
        command.arg("--state").arg(state);
    }
}

#[test]
fn a_certificate_is_made_and_only_the_newest_version_is_spoken() {
    if !lab::has("openssl") {
        return lab::skip("needs openssl");
    }
    let Some(mut host) = Host::new() else { return };
    let state = host.rig.machine.dir().join("web-state");
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(60_010), Some(60_010)).unwrap();
    let text = std::fs::read_to_string(&host.rig.file).unwrap();
    let text = text.replace("web:\n", "web:\n  tls: { self_signed: true }\n");
    std::fs::write(&host.rig.file, text).unwrap();
    host.web.terminate();
    host.web = Web::start_with(&host.rig, &host.daemon, with_state(&state));
    let certificate = state.join("tls/certificate.pem");
    let certificate = certificate.to_str().unwrap();
    let key = std::fs::metadata(state.join("tls/key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let get = "GET /healthz HTTP/1.1\r\nHost: localhost:8089\r\nConnection: close\r\n\r\n";
    let trusting = ["-CAfile", certificate, "-verify_return_error"];
    let strict = [&trusting[..], &["-verify_hostname", "localhost"]].concat();
    let spoken = shake(&strict, get);
    assert!(spoken.contains("TLSv1.3"), "{spoken}");
    assert!(spoken.contains("HTTP/1.1 200"), "{spoken}");
    let other = [&trusting[..], &["-verify_hostname", "evil.example"]].concat();
    assert!(!shake(&other, get).contains("HTTP/1.1 200"));
    let old = shake(&["-tls1_2"], get);
    assert!(!old.contains("HTTP/1.1 200"), "{old}");
    assert!(old.contains("alert protocol version"), "{old}");
    // Without TLS there is no answer, and nothing hangs.
    assert_eq!(host.web.get("/healthz", "").status, 0);

    // The command says the same fingerprint as openssl does.
    let state = state.to_str().unwrap();
    let made = host.rig.json(&["web", "--state", state, "login"]);
    let made = made.expect(0).json();
    let print = lab::output(
        "openssl",
        &[
            "x509",
            "-in",
            certificate,
            "-noout",
            "-fingerprint",
            "-sha256",
        ],
    );
    let print = String::from_utf8_lossy(&print.stdout).into_owned();
    let own = made["fingerprint"].as_str().unwrap();
    assert!(print.contains(own), "{print} {own}");
    let url = made["url"].as_str().unwrap();
    assert!(
        url.starts_with("https://127.0.0.1:8080/login.html#"),
        "{url}"
    );

    // Cookies are for TLS alone, and say so in their names.
    let code = url.split_once('#').unwrap().1;
    let body = json!({ "code": code }).to_string();
    let post = |origin: &str| {
        format!(
            "POST /api/login HTTP/1.1\r\nHost: localhost:8089\r\nConnection: close\r\nOrigin: {origin}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let plain = shake(&trusting, &post("http://localhost:8089"));
    assert!(plain.contains("HTTP/1.1 403"), "{plain}");
    let entered = shake(&trusting, &post("https://localhost:8089"));
    assert!(entered.contains("HTTP/1.1 200"), "{entered}");
    let entered = entered.to_ascii_lowercase();
    assert!(
        entered.contains("set-cookie: __host-opdbus_access="),
        "{entered}"
    );
    assert!(entered.contains("set-cookie: __secure-opdbus_refresh="));
    assert_eq!(entered.matches("; secure").count(), 2, "{entered}");
}

#[test]
fn other_addresses_take_tls() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare_top("web:\n  listen: 0.0.0.0:8443\n", "");
    let refused = rig.run(&["check"]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.err.contains("self_signed"), "{refused:?}");
    rig.declare_top(
        "web:\n  listen: 0.0.0.0:8443\n  tls: { self_signed: true }\n",
        "",
    );
    rig.run(&["check"]).expect(0);
}

#[test]
fn links_are_for_those_who_have_a_role() {
    let Some(host) = Host::new() else { return };
    let code = code(&host, "viewer");
    assert!(code.len() >= 43, "{code}");
    let mut line = host.daemon.connect();
    let odd = line.request("access.login", json!({ "role": "owner" }));
    assert_eq!(odd["error"]["code"], -32602, "{odd}");
    // The web server itself has none, and a token gives nothing here.
    let Some(python) = rig::bus::python("import socket") else {
        return lab::skip("needs python3");
    };
    let script = "import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        s.sendall(sys.argv[2].encode() + b'\\n')\nprint(s.makefile().readline())";
    for params in [
        json!({}),
        json!({ "role": "viewer" }),
        json!({ "token": host.admin }),
    ] {
        let request =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "access.login", "params": params });
        let mut command = rig::web::as_web(&python);
        command
            .args(["-c", script])
            .arg(&host.daemon.jsonrpc)
            .arg(request.to_string());
        let answer = command.output().unwrap().stdout;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["result"].is_null(), "{answer}");
        assert!(!answer.to_string().contains(&host.admin));
    }
}
