//! The unit that serves: led to the version by a drop-in, started anew, and asked whether it is well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use declaration::UnitName;
use deployments::{Name, PROGRAM, Place};

/// Where an administrator's units are (systemd.unit(5)).
const UNITS: &str = "/etc/systemd/system";

/// Last, so that what an administrator wrote stays in force beside it.
const DROP_IN: &str = "zz-op-dbus-deployment.conf";

/// How often the server is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// How much of its answer is read, in bytes.
const SAID: usize = 4 << 10;

/// A unit that systemd knows.
#[derive(Debug)]
pub(super) struct Unit {
    name: String,
    drop_in: PathBuf,
    /// What it starts without the drop-in.
    command: String,
    /// Whether it runs, or should.
    pub(super) active: bool,
}

impl Unit {
    /// The unit, if systemd runs this machine and knows it.
    pub(super) fn find(name: &UnitName) -> anyhow::Result<Option<Self>> {
        if !Path::new("/run/systemd/system").is_dir() {
            return Ok(None);
        }
        let name = name.as_str().to_owned();
        if property(&name, "LoadState")? != "loaded" {
            return Ok(None);
        }
        let active = !matches!(property(&name, "ActiveState")?.as_str(), "inactive");
        let files = said(systemctl(&["cat", "--", &name])?)?;
        let command = starts(&files).with_context(|| format!("read what {name} starts"))?;
        Ok(Some(Self {
            drop_in: Path::new(UNITS).join(format!("{name}.d")).join(DROP_IN),
            name,
            command,
            active,
        }))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it starts what serves at this place.
    pub(super) fn is_led_to(&self, place: &Place) -> bool {
        std::fs::read_to_string(&self.drop_in).is_ok_and(|text| text == self.text(place))
    }

    /// Has it start what serves at this place.
    pub(super) fn lead_to(&self, place: &Place) -> anyhow::Result<()> {
        if self.is_led_to(place) {
            return Ok(());
        }
        let directory = self.drop_in.parent().unwrap_or(Path::new(UNITS));
        std::fs::create_dir_all(directory)
            .with_context(|| format!("make {}", directory.display()))?;
        durable::replace(&self.drop_in, self.text(place).as_bytes(), 0o644)
            .with_context(|| format!("write {}", self.drop_in.display()))?;
        reload()
    }

    /// Has it start what it did before anything was deployed.
    pub(super) fn let_go(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.drop_in) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => {
                removed.with_context(|| format!("remove {}", self.drop_in.display()))?;
                reload()
            }
        }
    }

    /// Starts it anew; with a version, waits until that one runs and says that it is well.
    pub(super) fn restart(&self, version: Option<&Name>, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        // One that failed too often is not started again before this.
        systemctl(&["reset-failed", "--", &self.name])?;
        let job = systemctl(&["restart", "--no-block", "--", &self.name])?;
        said(job).with_context(|| format!("start {}", self.name))?;
        let Some(version) = version else {
            return Ok(());
        };
        let asking = Asking::new()?;
        loop {
            let Err(not_yet) = self.is_well(version, &asking) else {
                return Ok(());
            };
            if Instant::now() >= end {
                return Err(not_yet.context(format!("not well within {} s", within.as_secs())));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether this version runs, and answers its `/healthz` well.
    fn is_well(&self, version: &Name, asking: &Asking) -> anyhow::Result<()> {
        let state = property(&self.name, "ActiveState")?;
        if state != "active" {
            bail!(
                "{} is {state}: `journalctl -u {}` says why",
                self.name,
                self.name
            );
        }
        let process = property(&self.name, "MainPID")?;
        let runs = std::fs::read_link(format!("/proc/{process}/exe"))
            .with_context(|| format!("see what process {process} runs"))?;
        if !runs.ends_with(Path::new(version.as_str()).join(PROGRAM)) {
            bail!("{} runs {}", self.name, runs.display());
        }
        asking.is_well(&address(&property(&self.name, "StatusText")?)?)
    }

    fn text(&self, place: &Place) -> String {
        let (program, rest) = split(&self.command);
        // By its other name it is the web server without being told.
        let (name, web) = match Path::new(program).ends_with("mcp-chat") {
            true => ("mcp-chat", ""),
            false => ("op-dbus", " web"),
        };
        let current = place.program().with_file_name(name);
        format!(
            "# Written by `op-dbus web deploy`; `op-dbus web deployments` lists the versions.\n\
             [Service]\n\
             # An overlay is gone after a restart of the machine.\n\
             ExecStartPre=+{program}{web} mount --directory {directory}\n\
             ExecStart=\n\
             ExecStart={current}{rest}\n",
            directory = place.base().display(),
            current = current.display(),
        )
    }
}

/// Asks a server by HTTP.
struct Asking {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Asking {
    fn new() -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .no_proxy()
            // What is at another address is not the server.
            .redirect(reqwest::redirect::Policy::none())
            // It is asked whether it lives, and told nothing: a certificate that it made itself is as good as any.
            .tls_danger_accept_invalid_certs(true)
            .build()
            .context("make an HTTP client")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a thread")?;
        Ok(Self { runtime, client })
    }

    fn is_well(&self, url: &str) -> anyhow::Result<()> {
        let answer = self.runtime.block_on(async {
            // A name that every server goes by, wherever it listens.
            let request = self
                .client
                .get(url)
                .header(reqwest::header::HOST, "localhost");
            let mut answer = request.send().await?;
            let mut text = Vec::new();
            while text.len() < SAID
                && let Some(part) = answer.chunk().await?
            {
                text.extend_from_slice(&part);
            }
            text.truncate(SAID);
            let text = String::from_utf8_lossy(&text).into_owned();
            Ok::<_, reqwest::Error>((answer.status(), text))
        });
        let (status, text) = answer
            .map_err(reqwest::Error::without_url)
            .with_context(|| format!("ask {url}"))?;
        match status.is_success() {
            true => Ok(()),
            false => Err(anyhow!("{url} answers {status}: {}", text.trim())),
        }
    }
}

/// The health address of a server that tells systemd `serving http://127.0.0.1:8080/chat.html`. Its words are those of
/// a process without rights: only an address that it can listen on is asked.
fn address(status: &str) -> anyhow::Result<String> {
    let said = || anyhow!("it has not said where it serves, but `{status}`");
    let url = status.split_whitespace().find_map(|word| {
        let url: http::Uri = word.trim_end_matches([';', ',']).parse().ok()?;
        matches!(url.scheme_str(), Some("http" | "https")).then_some(url)
    });
    let url = url.ok_or_else(said)?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(said());
    };
    let listening: SocketAddr = authority.as_str().parse().map_err(|_| said())?;
    let mut asked = listening;
    // What listens everywhere listens at home.
    if listening.ip().is_unspecified() {
        asked.set_ip(match listening {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    if !is_of_this_host(asked.ip()) {
        bail!("it says that it serves at {listening}, which is no address of this host");
    }
    Ok(format!("{scheme}://{asked}/healthz"))
}

/// Whether a server could listen there: one may only at an address of its own host (bind(2)).
fn is_of_this_host(address: IpAddr) -> bool {
    address.is_loopback() || !address.is_multicast() && UdpSocket::bind((address, 0)).is_ok()
}

/// The command that a unit starts, as `systemctl cat` shows its files, without the drop-in of ours.
fn starts(files: &str) -> anyhow::Result<String> {
    let mut ours = false;
    let mut command = None;
    for line in files.lines() {
        if let Some(file) = line.strip_prefix("# /") {
            ours = file.ends_with(DROP_IN);
        }
        if let Some(found) = line.strip_prefix("ExecStart=").filter(|_| !ours) {
            command = Some(found.trim());
        }
    }
    match command {
        Some(command) if command.starts_with('/') && !command.ends_with('\\') => {
            Ok(command.to_owned())
        }
        Some(command) => Err(anyhow!(
            "`ExecStart={command}` does not begin with the path of a program, or goes on in another line"
        )),
        None => Err(anyhow!("it has no ExecStart")),
    }
}

/// The program of a command, and what is behind it.
fn split(command: &str) -> (&str, &str) {
    let end = command.find(char::is_whitespace).unwrap_or(command.len());
    command.split_at(end)
}

fn reload() -> anyhow::Result<()> {
    said(systemctl(&["daemon-reload"])?)
        .map(drop)
        .context("have systemd read its units")
}

fn property(unit: &str, property: &str) -> anyhow::Result<String> {
    let arguments = ["show", "--value", "--property", property, "--", unit];
    Ok(said(systemctl(&arguments)?)?.trim().to_owned())
}

fn systemctl(arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new("systemctl");
    let output = command.args(arguments).stdin(std::process::Stdio::null());
    output.output().context("run systemctl")
}

fn said(output: Output) -> anyhow::Result<String> {
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(anyhow!(
            "{}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_unit_goes_on_with_its_own_arguments() {
        let files = "# /usr/local/lib/systemd/system/op-dbus-web.service\n[Service]\n\
                     ExecStart=/usr/local/bin/op-dbus --file /etc/a.yaml web\n\n\
                     # /etc/systemd/system/op-dbus-web.service.d/zz-op-dbus-deployment.conf\n\
                     ExecStart=\nExecStart=/opt/current/bin/op-dbus web\n";
        let mut unit = Unit {
            name: "op-dbus-web.service".to_owned(),
            drop_in: PathBuf::from("/nowhere"),
            command: starts(files).unwrap(),
            active: true,
        };
        let place = Place::new("/opt/chat").unwrap();
        let text = unit.text(&place);
        assert!(
            text.contains("ExecStart=/opt/chat/current/bin/op-dbus --file /etc/a.yaml web\n"),
            "{text}"
        );
        assert!(
            text.contains("ExecStartPre=+/usr/local/bin/op-dbus web mount --directory /opt/chat\n"),
            "{text}"
        );
        unit.command = "/usr/local/bin/mcp-chat --listen [::1]:80".to_owned();
        let text = unit.text(&place);
        assert!(
            text.contains("ExecStart=/opt/chat/current/bin/mcp-chat --listen [::1]:80\n"),
            "{text}"
        );
        assert!(
            text.contains("=+/usr/local/bin/mcp-chat mount --"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_led_elsewhere_is_said() {
        for files in [
            "",
            "ExecStart=op-dbus web",
            "ExecStart=/bin/op-dbus \\\n web",
        ] {
            assert!(starts(files).is_err(), "{files}");
        }
    }

    #[test]
    fn the_address_is_what_the_server_told_systemd() {
        for (status, url) in [
            (
                "serving http://127.0.0.1:8080/chat.html",
                "http://127.0.0.1:8080/healthz",
            ),
            (
                "serving https://0.0.0.0:8443/chat.html; the declaration could not be read",
                "https://127.0.0.1:8443/healthz",
            ),
            ("serving https://[::]:8443/", "https://[::1]:8443/healthz"),
        ] {
            assert_eq!(address(status).unwrap(), url);
        }
        assert!(address("starting").is_err());
    }

    #[test]
    fn only_this_host_is_asked_whether_it_is_well() {
        for status in [
            // TEST-NET-1 and the documentation prefix (RFC 5737, RFC 3849): no host has them.
            "serving http://192.0.2.1:8080/chat.html",
            "serving http://[2001:db8::1]:8080/chat.html",
            "serving http://224.0.0.1:8080/chat.html",
            "serving http://chat.example.org:8080/chat.html",
            "serving http://127.0.0.1:8080@192.0.2.1:80/chat.html",
            "serving http://127.0.0.1/chat.html",
            "serving file:///etc/passwd",
        ] {
            assert!(address(status).is_err(), "{status}");
        }
    }

    #[test]
    fn who_sends_elsewhere_is_not_well() {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (server, elsewhere) = (bind(), bind());
        let url = |of: &TcpListener| format!("http://{}/healthz", of.local_addr().unwrap());
        let (asked, there) = (url(&server), url(&elsewhere));
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        );
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        // Had it gone there, it would have waited for an answer, and said so.
        let error = Asking::new().unwrap().is_well(&asked).unwrap_err();
        assert!(error.to_string().contains("answers 307"), "{error:#}");
        thread.join().unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        assert!(elsewhere.accept().is_err());
    }
}
