//! The commands, one file a family.

mod agree;
mod apply;
pub(crate) mod bridge;
mod cache;
mod comeback;
mod container;
mod deploy;
mod doctor;
mod document;
mod embed;
mod inspect;
mod introspect;
mod look;
mod mcp;
mod plugin;
mod plugin_transfer;
mod proof;
mod receive;
mod record;
mod recover;
mod replicate;
mod say;
mod search;
mod snapshot;
mod task;
mod template;
mod tool;
mod web;
mod web_model;
mod witness;

use tools::engine;

use crate::cli::{self, Cli, Command};
use crate::failure::Failure;
use crate::line::{Line, site};
use crate::screen::Screen;

/// Runs a command; the exit status says how it ended.
pub(crate) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let line = || Line::open(cli, screen);
    match &cli.command {
        Command::Check { path, plugins } => {
            document::check(cli, path.as_deref(), plugins.as_deref(), screen)
        }
        Command::Schema => document::schema(),
        Command::Completions { shell } => document::completions(*shell),
        Command::Man => document::man(),
        Command::Plan { detailed_exitcode } => {
            apply::plan(&mut line()?, screen, *detailed_exitcode)
        }
        Command::Apply(options) => apply::apply(cli, &mut line()?, screen, options),
        Command::Confirm => apply::confirm(&mut line()?, screen),
        Command::Rollback(options) => comeback::rollback(&mut line()?, screen, options),
        Command::Export { path } => comeback::export(&mut line()?, screen, path.as_deref()),
        Command::Restore(options) => comeback::restore(line, screen, options),
        Command::Verify => apply::verify(&mut line()?, screen),
        Command::Status => look::status(&mut line()?, screen),
        Command::Query { plugin } => look::query(&mut line()?, screen, plugin.as_deref()),
        Command::Introspect(options) => introspect::run(cli, screen, options),
        Command::Container(command) => container::run(cli, &mut line()?, screen, command),
        Command::Template(command) => template::run(&mut line()?, screen, command),
        Command::Plugin(command) => plugin::run(&mut line()?, screen, command),
        Command::Replicate {
            target,
            snapshot,
            dry_run,
        } => replicate::run(&mut line()?, screen, target, snapshot.as_deref(), *dry_run),
        Command::Receive {
            path,
            append_only,
            largest,
            key,
        } => receive::run(path, *append_only, *largest, key.as_deref()),
        Command::Ledger(cli::Ledger::VerifyProof(options)) => proof::verify_proof(screen, options),
        Command::Ledger(cli::Ledger::Recover { key }) => recover::run(cli, screen, key.as_deref()),
        Command::Ledger(command) => record::run(cli, &mut line()?, screen, command),
        Command::Search(options) => search::run(&mut line()?, screen, options),
        Command::Say(options) => say::run(&mut line()?, screen, options),
        Command::Snapshot(command) => snapshot::run(&mut line()?, screen, command),
        Command::Tool(command) => tool::run(&mut line()?, screen, command),
        Command::Bridge(options) => bridge::run(options),
        Command::Inspect(options) => inspect::run(cli, screen, options),
        Command::Task(command) => task::run(&mut line()?, screen, command),
        Command::Agent(cli::Agent::List) => task::agents(&mut line()?, screen),
        Command::Daemon(options) => crate::daemon::run(cli, options),
        Command::Web(options) => web::run(cli, screen, options),
        Command::Witness(options) => witness::run(cli, screen, options),
        Command::Mcp(options) => mcp::run(cli, screen, options),
        Command::Doctor => doctor::run(cli, screen),
        Command::Cache(command) => cache::run(&mut line()?, screen, command),
        Command::Embed(options) => embed::run(options),
        Command::Guard { run } => {
            engine::watch(&*site(cli)?.declaration_if_any()?, run)?;
            Ok(0)
        }
        Command::ContainerStarted { arguments } => container::started(arguments),
    }
}
