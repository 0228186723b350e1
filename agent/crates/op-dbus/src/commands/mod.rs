//! The commands, one file a family.

mod apply;
mod container;
mod doctor;
mod document;
mod look;
mod record;
mod template;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::host::read_declaration_if_any;
use crate::screen::Screen;

/// Runs a command; the exit status says how it ended.
pub(crate) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    match &cli.command {
        Command::Check { path } => document::check(cli, path.as_deref(), screen),
        Command::Schema => document::schema(),
        Command::Completions { shell } => document::completions(*shell),
        Command::Man => document::man(),
        Command::Plan { detailed_exitcode } => apply::plan(cli, screen, *detailed_exitcode),
        Command::Apply(options) => apply::apply(cli, screen, options),
        Command::Confirm => apply::confirm(cli, screen),
        Command::Verify => apply::verify(cli, screen),
        Command::Query { plugin } => look::query(cli, screen, plugin.as_deref()),
        Command::Container(command) => container::run(cli, screen, command),
        Command::Template(command) => template::run(cli, screen, command),
        Command::Ledger(command) => record::run(cli, screen, command),
        Command::Doctor => doctor::run(cli, screen),
        Command::Guard { run } => {
            crate::guard::watch(&read_declaration_if_any(cli)?, run)?;
            Ok(0)
        }
        Command::ContainerStarted { arguments } => container::started(arguments),
    }
}
