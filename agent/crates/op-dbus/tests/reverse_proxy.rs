//! The configurations of `docs/reverse-proxy.md`, as they stand there, before a real web server.

#![allow(clippy::unwrap_used)]

mod rig;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rig::Rig;
use rig::daemon::Daemon;
use rig::web::{ADDRESS, Web};

const PAGE: &str = include_str!("../../../../docs/reverse-proxy.md");
const SITE: &str = "https://chat.example.org";

/// The one block of the page in this language, with this test's files and addresses.
fn block(language: &str, files: &Path) -> String {
    let from = PAGE.split_once(&format!("```{language}\n")).unwrap().1;
    let text = from.split_once("```").unwrap().0;
    text.replace("/etc/ssl/chat.example.org", files.to_str().unwrap())
        .replace("127.0.0.1:8080", ADDRESS)
}

/// A proxy that runs until it is dropped.
struct Proxy(Child);

impl Proxy {
    fn nginx(directory: &Path) -> Self {
        let text = format!(
            "daemon off; pid {0}/nginx.pid; error_log {0}/nginx.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{1}\n}}\n",
            directory.display(),
            block("nginx", directory)
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, text).unwrap();
        Self::start(
            Command::new("nginx")
                .arg("-p")
                .arg(directory)
                .arg("-c")
                .arg(file),
        )
    }

    fn caddy(directory: &Path) -> Self {
        // Its own administration and its certificates are no matter here.
        let text = format!(
            "{{\nadmin off\nauto_https disable_certs\n}}\n{}",
            block("caddy", directory)
        );
        let file = directory.join("Caddyfile");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file);
        Self::start(command.env("HOME", directory))
    }

    fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(quiet.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx's workers go with their master when it is asked, and not when it is killed.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A browser of another machine, as far as it matters: it resolves the name, and checks no certificate.
struct Browser {
    jar: PathBuf,
}

impl Browser {
    fn command(&self, path: &str) -> Command {
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--insecure",
                "--http1.1",
                "--include",
                "--no-buffer",
            ])
            .args(["--resolve", "chat.example.org:443:127.0.0.1"])
            .args(["--resolve", "chat.example.org:80:127.0.0.1"])
            .args(["--cookie", self.jar.to_str().unwrap()])
            .args(["--cookie-jar", self.jar.to_str().unwrap()])
            .arg(match path.starts_with("http") {
                true => path.to_owned(),
                false => format!("{SITE}{path}"),
            });
        command
    }

    fn ask(&self, path: &str, arguments: &[&str]) -> String {
        let output = self.command(path).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What comes on `/ws`, up to the first frame.
    fn upgrade(&self, origin: &str) -> String {
        let mut child = self
            .command("/ws")
            .args(["--max-time", "30", "--header", &format!("Origin: {origin}")])
            .args([
                "--header",
                "Connection: Upgrade",
                "--header",
                "Upgrade: websocket",
            ])
            .args(["--header", "Sec-WebSocket-Version: 13"])
            .args(["--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&said).contains("\"hello\"") {
            match pipe.read(&mut buffer).unwrap() {
                0 => break,
                read => said.extend(&buffer[..read]),
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        String::from_utf8_lossy(&said).into_owned()
    }
}

fn host() -> Option<(Rig, Daemon, Web)> {
    if !lab::has("curl") || !lab::has("openssl") {
        lab::skip("needs curl and openssl");
        return None;
    }
    let rig = Rig::storage(256)?;
    rig.declare_top(
        &format!("web: {{ hosts: [chat.example.org], origins: [\"{SITE}\"] }}\n"),
        "",
    );
    rig.apply();
    let daemon = Daemon::start(&rig);
    // As members of the group that gets there.
    fs::set_permissions(&daemon.jsonrpc, fs::Permissions::from_mode(0o666)).unwrap();
    let web = Web::start(&rig, &daemon);
    let directory = rig.machine.dir();
    lab::self_signed(
        "DNS:chat.example.org",
        &directory.join("fullchain.pem"),
        &directory.join("key.pem"),
    );
    Some((rig, daemon, web))
}

/// Logs in at the outer name, and talks.
fn works(rig: &Rig, name: &str) {
    let browser = Browser {
        jar: rig.machine.dir().join(format!("{name}.cookies")),
    };
    lab::wait_for(name, Duration::from_secs(30), || {
        browser.ask("/healthz", &[]).contains(" 200 ").then_some(())
    });
    let page = browser.ask("/chat.html", &[]);
    assert!(
        page.to_lowercase()
            .contains("strict-transport-security: max-age=31536000"),
        "{page}"
    );
    let plain = browser
        .ask("http://chat.example.org/chat.html", &[])
        .to_lowercase();
    assert!(
        plain.contains(&format!("location: {SITE}/chat.html")),
        "{plain}"
    );
    assert!(browser.ask("/api/session", &[]).contains(" 401 "));

    let link = rig.json(&["web", "login", "--at", SITE]).expect(0).json();
    let url = link["url"].as_str().unwrap();
    let code = url.strip_prefix(&format!("{SITE}/login.html#")).unwrap();
    let body = format!("{{\"code\": \"{code}\"}}");
    let login = |origin: &str| {
        let origin = format!("Origin: {origin}");
        let kind = "Content-Type: application/json";
        browser.ask(
            "/api/login",
            &["--header", &origin, "--header", kind, "--data", &body],
        )
    };
    let refused = login("https://elsewhere.example.org");
    assert!(refused.contains(" 403 "), "{refused}");
    let done = login(SITE);
    assert!(done.contains(" 200 "), "{done}");
    let cookies = done.to_lowercase();
    let set: Vec<_> = cookies
        .lines()
        .filter(|line| line.starts_with("set-cookie"))
        .collect();
    assert_eq!(set.len(), 2, "{done}");
    assert!(set.iter().all(|cookie| cookie.contains("secure")), "{done}");
    assert!(browser.ask("/api/session", &[]).contains(" 200 "));

    let opened = browser.upgrade(SITE);
    assert!(
        opened.contains(" 101 ") && opened.contains("\"hello\""),
        "{opened}"
    );
    let refused = browser.upgrade("https://elsewhere.example.org");
    assert!(refused.contains(" 403 "), "{refused}");
}

/// The agent behind a proxy works; or it is skipped where there is no such proxy.
fn works_behind(name: &str, proxy: impl Fn(&Path) -> Proxy) {
    if !lab::has(name) {
        return lab::skip(&format!("needs {name}"));
    }
    let Some((rig, _daemon, _web)) = host() else {
        return;
    };
    let _proxy = proxy(rig.machine.dir());
    works(&rig, name);
}

#[test]
fn nginx_before_it() {
    works_behind("nginx", Proxy::nginx);
}

#[test]
fn caddy_before_it() {
    works_behind("caddy", Proxy::caddy);
}
