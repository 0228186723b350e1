//! Which server is meant, and the way to it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use declaration::{
    Address, LeastRole, Program, Reach, Upstream as Declared, UpstreamEffect, Variable,
};
use mcp::client::{Found, Known, Places};
use mcp::upstream::{Upstream, UpstreamError, clean};

use crate::cli::{Cli, Reaching};
use crate::failure::Failure;
use crate::line::site;
use crate::screen::Screen;

/// A server that a person named.
pub(super) struct Named {
    pub(super) upstream: Upstream,
    /// It is one of the declaration: its calls are the host's business.
    pub(super) declared: bool,
}

/// Finds the server: a program on the command line, a URL, a prefix of the declaration, or a name that another
/// program knows.
pub(super) fn find(
    cli: &Cli,
    screen: &Screen,
    server: Option<&str>,
    how: &Reaching,
) -> Result<Named, Failure> {
    let Some(name) = server else {
        return Ok(named(
            "server",
            program(&how.program, BTreeMap::new())?,
            how,
        ));
    };
    if name.contains("://") {
        let address = Address {
            url: name.to_owned(),
            token_file: how.token_file.clone(),
            addresses: Vec::new(),
        };
        return Ok(named("server", Reach::Http(address), how));
    }
    let declaration = site(cli)?.declaration_if_any()?;
    if let Some(declared) = declaration.mcp.upstreams.get(name) {
        return Ok(Named {
            upstream: Upstream::new(name, declared.clone()),
            declared: true,
        });
    }
    let known = Known::read(&places()?);
    match known.named(name)[..] {
        [found] => {
            agreed(screen, found)?;
            Ok(named("server", of_found(found, how)?, how))
        }
        [] => Err(Failure::Usage(format!(
            "there is no server `{name}`: `op-dbus mcp servers` shows those that are known; a program to start \
             comes after `--`"
        ))),
        ref several => {
            let choices: Vec<_> = several
                .iter()
                .map(|found| format!("{}:{} ({})", found.client, found.name, found.file.display()))
                .collect();
            Err(Failure::Usage(format!(
                "several programs know a server `{name}`; say which one: {}",
                choices.join(", ")
            )))
        }
    }
}

/// What a project's file says is started or reached only if the person agrees: it came with the project.
fn agreed(screen: &Screen, found: &Found) -> Result<(), Failure> {
    if !found.of_project {
        return Ok(());
    }
    let mut what: Vec<_> = found.command.iter().map(|it| format!("{it:?}")).collect();
    what.extend(found.url.iter().map(|url| format!("{url:?}")));
    for (name, value) in &found.environment {
        what.push(format!("{name:?}={value:?}"));
    }
    let what = clean(&what.join(" "), 4000);
    let file = clean(&found.file.to_string_lossy(), 500);
    if screen.agrees(&format!("{file} says: {what}\nStart or reach it?")) {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "not confirmed: {file} is a file of the project, not yours. Look at the server there, then answer yes, or \
         call again with --yes"
    )))
}

/// Home and working directory, where other programs keep their files.
pub(super) fn places() -> Result<Places, Failure> {
    let project = std::env::current_dir().context("find the working directory")?;
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Ok(Places { home, project })
}

/// What a person names by hand may be anywhere, and all that it does is the person's own wish.
fn named(name: &str, reach: Reach, how: &Reaching) -> Named {
    let everything = "*".parse().into_iter();
    let declared = Declared {
        reach,
        include: Vec::new(),
        exclude: Vec::new(),
        timeout: u32::try_from(how.timeout.as_secs().max(1)).unwrap_or(u32::MAX),
        effect: everything
            .map(|pattern| (pattern, UpstreamEffect::Read))
            .collect(),
        role: LeastRole::Viewer,
    };
    Named {
        upstream: Upstream::named(name, declared),
        declared: false,
    }
}

fn of_found(found: &Found, how: &Reaching) -> Result<Reach, Failure> {
    let Some(url) = &found.url else {
        let variables = found.environment.iter();
        let variables = variables
            .filter_map(|(name, value)| Some((name.parse().ok()?, Variable::Text(value.clone()))));
        return program(&found.command, variables.collect());
    };
    if !found.headers.is_empty() && how.token_file.is_none() {
        return Err(Failure::Usage(format!(
            "{} sends headers to `{}`, which are not taken from its file: put the token into a file of its own \
             and name that with --token-file",
            found.client, found.name
        )));
    }
    Ok(Reach::Http(Address {
        url: url.clone(),
        token_file: how.token_file.clone(),
        addresses: Vec::new(),
    }))
}

/// A program, looked for as the shell would.
fn program(
    command: &[String],
    mut environment: BTreeMap<declaration::VariableName, Variable>,
) -> Result<Reach, Failure> {
    let Some((name, arguments)) = command.split_first() else {
        return Err(Failure::Usage(
            "name a server, or a program after `--`".to_owned(),
        ));
    };
    let search = std::env::var("PATH").unwrap_or_default();
    let path = match name.contains('/') {
        true => std::path::absolute(name).context("find the program")?,
        false => std::env::split_paths(&search)
            .map(|directory| directory.join(name))
            .find(|path| is_program(path))
            .ok_or_else(|| Failure::Usage(format!("there is no program `{name}` on the PATH")))?,
    };
    if let Ok(variable) = "PATH".parse() {
        environment
            .entry(variable)
            .or_insert(Variable::Text(search));
    }
    let command = std::iter::once(path.to_string_lossy().into_owned());
    Ok(Reach::Command(Program {
        command: command.chain(arguments.iter().cloned()).collect(),
        environment,
        user: None,
    }))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Runs what waits, and ends the server after it.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(result)
}

/// As a command says it.
pub(super) fn failure(error: UpstreamError) -> Failure {
    match error {
        UpstreamError::NoTool(_) | UpstreamError::Invalid(_) => Failure::Usage(error.to_string()),
        other => Failure::Failed(anyhow::anyhow!("the server: {other}")),
    }
}
