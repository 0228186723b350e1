//! web: serve HTTP, make tokens, print links to log in.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ::web::{Source, fingerprint};
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use declaration::{AnySections, Declaration, Scope, TokenName, Web};
use serde_json::json;

use crate::cli::{self, Cli};
use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::web;

/// Where systemd has the web server keep its state.
const STATE: &str = "/var/lib/op-dbus-web";
/// What tokens begin with, so that programs that look for lost secrets know them.
const PREFIX: &str = "opdbus_";

pub(super) fn run(cli: &Cli, screen: &Screen, options: &cli::Web) -> Result<u8, Failure> {
    match &options.command {
        Some(cli::WebCommand::Model) => super::web_model::run(cli, screen),
        None => web::run(&|| declared(&cli.file), options),
        Some(cli::WebCommand::Login { role, at }) => {
            login(cli, screen, options, role.as_deref(), at.as_deref())
        }
        Some(cli::WebCommand::Token { name, file, scopes }) => {
            token(screen, name, file.as_deref(), scopes)
        }
    }
}

/// The declaration; mappings of plugins, which this user may not be able to read, are no matter here.
fn declared(file: &Path) -> Result<Declaration, Failure> {
    let declaration = Declaration::read_with(file, &AnySections)?;
    let web = declaration.web.as_ref();
    if web.is_none_or(|web| web.tokens.is_empty()) {
        log::warn!(
            "nobody can speak here yet: no token is declared. `op-dbus web token NAME` makes one"
        );
    }
    Ok(declaration)
}

/// Prints a link that logs in once. The code is its fragment, which browsers keep to themselves.
fn login(
    cli: &Cli,
    screen: &Screen,
    options: &cli::Web,
    role: Option<&str>,
    at: Option<&str>,
) -> Result<u8, Failure> {
    let declaration = Declaration::read_with(&cli.file, &AnySections)?;
    let web = declaration.web.unwrap_or_default();
    let site = crate::line::site(cli)?;
    let Some(mut client) = Client::find(&site)? else {
        return Err(Failure::Refused(
            "the daemon of this declaration cannot be reached, and sessions are its business: `systemctl start op-dbusd`"
                .to_owned(),
        ));
    };
    let made = client.login(role)?;
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    let base = match at {
        Some(at) => at.trim_end_matches('/').to_owned(),
        None => base(&web, options.address(&web)),
    };
    let url = format!("{base}/login.html#{}", text("code"));
    let state = options.state.clone().unwrap_or_else(|| STATE.into());
    // What browsers ask about is compared with this.
    let own = Source::of(&web, Some(&state)).ok().flatten();
    let own = own.filter(|source| matches!(source, Source::SelfSigned { .. }));
    let print = own.and_then(|source| fingerprint(&source.files().0).ok());
    let mut json = json!({ "url": url, "user": made["name"], "role": made["role"], "seconds": made["seconds"] });
    if let Some(print) = &print {
        json["fingerprint"] = json!(print);
    }
    screen.result(&json, || {
        let minutes = made["seconds"].as_u64().unwrap_or_default() / 60;
        let print = print.map_or(String::new(), |print| {
            format!("\nThe certificate is self-signed. Its SHA-256 fingerprint:\n\n  {print}\n")
        });
        format!(
            "{url}\n\nIt logs in as {} ({}), once, within {minutes} minutes.\n{print}",
            text("name"),
            text("role")
        )
    });
    Ok(0)
}

/// Where a browser on this host, or one that knows a declared name, finds the server.
fn base(web: &Web, address: SocketAddr) -> String {
    let scheme = if web.tls.is_some() { "https" } else { "http" };
    match (address.ip().is_loopback(), web.hosts.first()) {
        (false, Some(name)) => format!("{scheme}://{name}:{}", address.port()),
        (false, None) if address.ip().is_unspecified() => {
            format!("{scheme}://localhost:{}", address.port())
        }
        _ => format!("{scheme}://{address}"),
    }
}

/// Makes a token, and says how it is declared. It is shown this once.
fn token(
    screen: &Screen,
    name: &TokenName,
    file: Option<&Path>,
    scopes: &[Scope],
) -> Result<u8, Failure> {
    let usual = || PathBuf::from("/etc/op-dbus/tokens").join(name.as_str());
    let path = file.map_or_else(usual, Path::to_owned);
    let path = std::path::absolute(path).context("find the file")?;
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    save(&path, &secret)?;
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let entry = json!({ "file": path, "scopes": words });
    let declare = json!({ "web": { "tokens": { name.as_str(): entry } } });
    let json = json!({ "name": name, "token": secret, "file": path, "declare": declare });
    screen.result(&json, || {
        format!(
            "The token, which is shown this once:\n\n  {secret}\n\nDeclare it, then apply:\n\n  web:\n    tokens:\n      \
             {name}: {{ file: {}, scopes: [{}] }}\n",
            path.display(),
            quoted.join(", ")
        )
    });
    Ok(0)
}

/// Writes a secret where only root gets at it, and never over another one.
fn save(path: &Path, secret: &str) -> Result<(), Failure> {
    if let Some(directory) = path.parent() {
        // What is above may hold the declaration, which everybody reads.
        let above = directory.parent().map(|above| (above, 0o755));
        for (directory, mode) in above.into_iter().chain([(directory, 0o700)]) {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(directory);
            made.with_context(|| format!("make {}", directory.display()))?;
        }
    }
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = format!(
                "{} is there already: remove it first if its token is to end",
                path.display()
            );
            return Err(Failure::Refused(text));
        }
        opened => opened.with_context(|| format!("make {}", path.display()))?,
    };
    file.write_all(format!("{secret}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_directory_of_the_tokens_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let above = dir.path().join("op-dbus");
        save(&above.join("tokens/laptop"), "secret").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o055;
        assert_eq!(mode(&above), 0o055);
        assert_eq!(mode(&above.join("tokens")), 0);
        assert!(save(&above.join("tokens/laptop"), "other").is_err());
    }
}
