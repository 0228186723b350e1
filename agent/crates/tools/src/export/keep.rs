//! `@state/current-state.json`: the host as it was after its last change.

use std::fs;
use std::io;
use std::path::Path;

use reconcile::World;
use serde_json::{Value, json};

use super::Export;
use crate::engine::{Host, Site};

/// Looks at the host and keeps what it is, where there is a place for that.
pub fn keep(site: &Site) {
    let kept = site
        .declaration_if_any()
        .and_then(|declaration| Host::new(&declaration))
        .and_then(|host| Ok((Export::now(site, &host)?, host)));
    match kept {
        Ok((export, host)) => write(&host, &export),
        Err(error) => log::warn!("the current state is not kept: {error}"),
    }
}

/// Keeps what the host is if that was missed: whoever did the last change may have been killed before.
pub(crate) fn catch_up(site: &Site, host: &Host) {
    let kept = fs::read(host.paths.current_state()).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
    let head = site.ledger().and_then(|ledger| Ok(ledger.head()?));
    if head.is_ok_and(|head| kept["ledger"]["hash"] != json!(head.hash.to_string())) {
        keep(site);
    }
}

/// Keeps what was just seen through the host's plugins.
pub fn keep_seen(site: &Site, host: &Host, world: &World) {
    let names = host.plugins.iter().map(|plugin| plugin.name().to_owned());
    let seen = names.zip(world.iter().cloned().map(Ok));
    match Export::of(site, host, seen) {
        Ok(export) => write(host, &export),
        Err(error) => log::warn!("the current state is not kept: {error}"),
    }
}

fn write(host: &Host, export: &Export) {
    let path = host.paths.current_state();
    if !path.parent().is_some_and(Path::is_dir) {
        return;
    }
    let text = export.text();
    if fs::read(&path).is_ok_and(|kept| kept == text.as_bytes()) {
        return;
    }
    if let Err(error) = replace(&path, text.as_bytes()) {
        log::warn!("{} is not written: {error}", path.display());
    }
}

/// Replaces a file, which root alone may read, so that a crash at any point leaves the old one or the new one, whole.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    durable::replace(path, text, 0o600)
}
