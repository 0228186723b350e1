//! `op-dbus`: keeps an infrastructure host in its declared state.

mod cli;
mod client;
mod commands;
mod daemon;
mod doors;
mod failure;
mod line;
mod screen;
mod web;
mod world;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;

use crate::cli::Cli;
use crate::commands::bridge::Standalone;
use crate::screen::Screen;

fn main() -> ExitCode {
    if called("dbus-mcp-bridge") {
        return bridge();
    }
    let cli = match called("mcp-chat") {
        // The same as `op-dbus web`.
        true => {
            let mut words = std::env::args_os();
            let name = words.next();
            Cli::parse_from(name.into_iter().chain(["web".into()]).chain(words))
        }
        false => Cli::parse(),
    };
    // The daemon's log is what is read later.
    let daemon = matches!(cli.command, cli::Command::Daemon(_));
    start_log(cli.verbose.max(u8::from(daemon)));
    let screen = Screen::new(cli.json, cli.yes);
    match commands::run(&cli, &screen) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            match cli.json {
                true => {
                    let _ = writeln!(std::io::stdout(), "{:#}", failure.json());
                }
                false => anstream::eprintln!("op-dbus: {failure}"),
            }
            ExitCode::from(failure.status())
        }
    }
}

/// Whether the program was called by this name: one binary has several.
fn called(name: &str) -> bool {
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    program.is_some_and(|program| program.file_name().is_some_and(|file| file == name))
}

/// `dbus-mcp-bridge`: its answers are on standard output, so that everything else is not.
fn bridge() -> ExitCode {
    let line = Standalone::parse();
    start_log(line.verbose);
    match commands::bridge::run(&line.bridge) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            anstream::eprintln!("dbus-mcp-bridge: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// To the journal when systemd runs us, to standard error else.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    if systemd_journal_logger::connected_to_journal()
        && let Ok(logger) = systemd_journal_logger::JournalLog::new()
        && logger.install().is_ok()
    {
        log::set_max_level(level);
        return;
    }
    let precision = (verbose > 1).then_some(env_logger::TimestampPrecision::Millis);
    env_logger::Builder::new()
        .filter_level(level)
        .format_timestamp(precision)
        .format_target(false)
        .init();
}
