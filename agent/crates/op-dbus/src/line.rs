//! How a command reaches the tools: through the daemon where one serves this host, else in this process.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tools::engine::{Site, Source};
use tools::{Accounts, Caller, Cancel, Door, Options, Registry, Tool};

use crate::cli::Cli;
use crate::client::Client;
use crate::failure::Failure;
use crate::screen::Screen;

/// A line to the registry.
pub(crate) struct Line<'a> {
    screen: &'a Screen,
    end: End,
}

enum End {
    Here {
        registry: Box<Registry>,
        caller: Box<Caller>,
    },
    Daemon(Client),
}

/// The declaration and files that the command line names.
pub(crate) fn site(cli: &Cli) -> Result<Site, Failure> {
    let source = match cli.file == Path::new("-") {
        false => {
            let file = std::path::absolute(&cli.file).context("find the declaration")?;
            Source::File(file)
        }
        true => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("read the declaration from standard input")?;
            Source::Text(text)
        }
    };
    let base = cli.base.as_ref().map(std::path::absolute);
    let base = base.transpose().context("find the base")?;
    Ok(Site::new(source, base))
}

impl<'a> Line<'a> {
    /// Opens a line: to the daemon that keeps the same declaration, if one runs.
    pub(crate) fn open(cli: &Cli, screen: &'a Screen) -> Result<Self, Failure> {
        let site = site(cli)?;
        if !cli.here
            && let Some(client) = Client::find(&site)?
        {
            screen.aside(&format!("through op-dbusd (process {})", client.daemon()));
            return Ok(Self {
                screen,
                end: End::Daemon(client),
            });
        }
        Ok(Self::in_process(site, screen, Vec::new()))
    }

    /// Opens a line that ends in this process, whoever else serves this host.
    pub(crate) fn here(cli: &Cli, screen: &'a Screen) -> Result<Self, Failure> {
        Ok(Self::in_process(site(cli)?, screen, Vec::new()))
    }

    /// The same with tools that this command alone has: no door serves them.
    pub(crate) fn with(cli: &Cli, screen: &'a Screen, own: Vec<Tool>) -> Result<Self, Failure> {
        Ok(Self::in_process(site(cli)?, screen, own))
    }

    fn in_process(site: Site, screen: &'a Screen, own: Vec<Tool>) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let mut caller = Caller::of_uid(uid, Door::Cli, &site.access(), &Accounts::read());
        // In this process the kernel decides what may be read and changed.
        caller.role = Some(tools::Role::Admin);
        caller.interactive = screen.interactive();
        caller.on_behalf_of = ["SUDO_USER", "DOAS_USER"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        let mut all = tools::builtin::all();
        all.extend(own);
        let registry = Box::new(Registry::new(site, all));
        let caller = Box::new(caller);
        Self {
            screen,
            end: End::Here { registry, caller },
        }
    }

    /// Calls a tool.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: Value,
        options: Options,
    ) -> Result<Value, Failure> {
        let listener = |event: &tools::Event| self.screen.show(event);
        match &mut self.end {
            End::Here { registry, caller } => Ok(registry.call(
                caller,
                name,
                arguments,
                options,
                &Cancel::default(),
                &listener,
            )?),
            End::Daemon(client) => client.call(name, arguments, &options, &listener),
        }
    }

    /// How the daemon stands, if it is at the other end.
    pub(crate) fn daemon(&mut self) -> Result<Option<Value>, Failure> {
        match &mut self.end {
            End::Here { .. } => Ok(None),
            End::Daemon(client) => client.status().map(Some),
        }
    }

    /// Reads with a tool, into what it gives.
    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        name: &str,
        arguments: Value,
    ) -> Result<T, Failure> {
        let answer = self.call(name, arguments, Options::default())?;
        Ok(serde_json::from_value(answer).with_context(|| format!("read the answer of {name}"))?)
    }

    /// Reads all pages of a list that a tool gives under `key`.
    pub(crate) fn read_all(
        &mut self,
        name: &str,
        key: &str,
        mut arguments: Value,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        arguments["limit"] = json!(1000);
        loop {
            let mut answer = self.call(name, arguments.clone(), Options::default())?;
            if let Value::Array(mut items) = answer[key].take() {
                all.append(&mut items);
            }
            match answer.get("next_cursor") {
                Some(cursor) if !cursor.is_null() => arguments["cursor"] = cursor.clone(),
                _ => return Ok(all),
            }
        }
    }

    /// The descriptions of all tools.
    pub(crate) fn tools(&mut self) -> Result<Vec<Value>, Failure> {
        match &mut self.end {
            End::Here { registry, .. } => Ok(registry
                .descriptions()
                .map(|description| json!(description))
                .collect()),
            End::Daemon(client) => client.tools(),
        }
    }
}
