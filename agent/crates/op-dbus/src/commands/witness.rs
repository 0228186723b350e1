//! witness: cosign the ledgers of other hosts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use declaration::{AnySections, Declaration, Witnessing};
use serde_json::json;
use tlog::{Algorithm, KeyFile, KeyName, SigningKey};
use web::WitnessDoor;

use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::screen::Screen;

/// The key, in the directory of the witness or among the credentials of its unit.
const KEY: &str = "witness.key";

pub(super) fn run(cli: &Cli, screen: &Screen, options: &cli::Witness) -> Result<u8, Failure> {
    match options.command {
        cli::WitnessCommand::Serve { listen } => serve(&declared(&cli.file)?, options, listen),
        cli::WitnessCommand::Key => {
            let key = key_there(&options.state)?;
            let key = key.verifier();
            screen.result(
                &json!({ "name": key.name().as_str(), "key": key.to_string() }),
                || format!("{key}\n"),
            );
            Ok(0)
        }
    }
}

fn declared(file: &Path) -> Result<Witnessing, Failure> {
    let declaration = Declaration::read_with(file, &AnySections)?;
    declaration.ledger.witness.ok_or_else(|| {
        let text = format!(
            "{} names no ledgers to watch over: write their public keys into `ledger.witness.origins`",
            file.display()
        );
        Failure::Usage(text)
    })
}

fn serve(
    declared: &Witnessing,
    options: &cli::Witness,
    listen: Option<SocketAddr>,
) -> Result<u8, Failure> {
    if rustix::process::geteuid().is_root() {
        log::warn!("the witness needs no rights: run it as a user of its own");
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("close the witness's memory to others")?;
    let name = declared.name.clone();
    let name = name.map_or_else(usual_name, Ok)?;
    let key = key(&options.state, &name)?;
    log::info!("cosigning as {}", key.verifier());
    let heads = options.state.join("heads");
    let witness = tlog::Witness::open(key, heads, declared.origins.iter().cloned());
    let witness = witness.context("open what the witness remembers")?;
    for (origin, size) in witness.logs() {
        log::info!("{origin}: {size} entries are cosigned");
    }
    let door = WitnessDoor::new(witness);
    let address = listen.unwrap_or(declared.listen);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(8)
        .thread_name("op-dbus-witness")
        .enable_all()
        .build()
        .context("start the witness's threads")?;
    let place = crate::web::Place {
        address,
        tls: None,
        path: "/add-checkpoint",
    };
    runtime.block_on(crate::web::serve(
        place,
        WitnessDoor::limits(),
        |_| door,
        |_, _| log::info!("what the witness watches over is read at its start: restart it"),
    ))?;
    Ok(0)
}

/// The credential of the unit, or the file in the directory, which is made if it is not there.
fn key(state: &Path, name: &KeyName) -> Result<SigningKey, Failure> {
    let file = match credential() {
        Some(path) => KeyFile::at(path),
        None => KeyFile::at(state.join(KEY)),
    };
    let key = file.open_or_create(name, Algorithm::Cosignature);
    Ok(key.context("open the witness's key")?)
}

/// The key, if there is one: it is made by whom it belongs to.
fn key_there(state: &Path) -> Result<SigningKey, Failure> {
    let file = KeyFile::at(state.join(KEY));
    let key = file.open(Algorithm::Cosignature);
    key.context("open the witness's key")?.ok_or_else(|| {
        let text = format!(
            "there is no key at {} yet: it is made when the witness starts, by `systemctl start op-dbus-witness` or \
             `op-dbus witness serve`",
            file.path().display()
        );
        Failure::Refused(text)
    })
}

fn credential() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(KEY);
    path.exists().then_some(path)
}

fn usual_name() -> Result<KeyName, Failure> {
    let host =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("read the host's name")?;
    let name = format!("{}/witness", host.trim());
    Ok(name
        .parse()
        .context("name the witness after the host; `ledger.witness.name` names it otherwise")?)
}
