//! A restore that has begun: what the new host's ledger begins with, and what is still to be put in its place.
//!
//! The file stands beside the base, which the restore may have to make. Whoever opens the ledger while it is there
//! writes the entry that names the old head, so that nothing comes before it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use declaration::{ContainersFile, Format};
use ledger::{Filter, Ledger, NewEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tlog::SignedCheckpoint;

use super::host::{Host, write_whole};
use super::kinship::{Kin, kin};
use super::past::ByCommand;
use super::paths::Paths;
use super::publish::is_ours;
use crate::error::ToolError;
use crate::export::Head;

/// The entry that names the ledger which this one goes on from.
pub(crate) const BEGIN: &str = "restore_begin";
/// The ledger's file, in a subvolume `@timing` or a copy of one.
const DATABASE: &str = "blockchain.db";
/// The old host's checkpoint, where its key did not come along.
const OLD_CHECKPOINT: &str = "checkpoint.before-restore";

/// What is known of a restore that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restoring {
    /// This restore's own id.
    pub(crate) id: String,
    /// The SHA-256 of the export.
    pub(crate) export: String,
    /// The name of the host that was exported.
    pub(crate) host: String,
    /// Where its ledger stood.
    pub(crate) head: Option<Head>,
    /// The containers that were made by command there, as the file of these has them.
    pub(crate) containers: Value,
    /// A copy of its ledger, to be taken over.
    pub(crate) ledger: Option<PathBuf>,
    /// Who restores.
    pub(crate) actor: Value,
}

impl Restoring {
    /// The restore that has begun here, if one has.
    pub(crate) fn read(paths: &Paths) -> Result<Option<Self>, ToolError> {
        let path = paths.restoring();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text,
        };
        let failed = |error: &dyn std::fmt::Display| {
            ToolError::Failed(format!(
                "{}: {error}. It says what a restore had begun: take it away to give that up",
                path.display()
            ))
        };
        let text = text.map_err(|error| failed(&error))?;
        let restoring = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        Ok(Some(restoring))
    }

    /// Writes it down, so that a crash does not lose it.
    pub(crate) fn begin(&self, paths: &Paths) -> Result<(), ToolError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| ToolError::failed("write down the restore", error))?;
        write_whole(&paths.restoring(), &text)
    }

    /// Forgets it.
    pub(crate) fn end(paths: &Paths) {
        let _ = fs::remove_file(paths.restoring());
    }

    fn containers(&self) -> Result<ByCommand, ToolError> {
        Ok(ContainersFile::parse(&self.containers.to_string(), Format::Json)?.containers)
    }

    /// Puts the copy of the old ledger in place, whole or not at all.
    fn take_over(&self, paths: &Paths) -> Result<(), ToolError> {
        let Some(source) = &self.ledger else {
            return Ok(());
        };
        if is_made(paths) {
            return Ok(());
        }
        // A start of one is none; nothing of it may be read into the copy.
        for suffix in ["", "-wal", "-shm"] {
            let mut path = paths.ledger().into_os_string();
            path.push(suffix);
            let _ = fs::remove_file(path);
        }
        let work = paths.timing().join("restore.tmp");
        let copied = copy(source, &work).map_err(|error| {
            ToolError::failed(&format!("copy the ledger {}", source.display()), error)
        });
        let database = work.join(DATABASE);
        let done = copied
            // Opening it for writing puts its write-ahead log into it.
            .and_then(|()| examine(&Ledger::open(&database)?, self.head.as_ref(), paths))
            .and_then(|_| {
                let log = work.join("blockchain.db-wal");
                if log.metadata().is_ok_and(|log| log.len() > 0) {
                    return Err(ToolError::Failed(
                        "the write-ahead log of the old ledger did not go into it: is the disk full?".to_owned(),
                    ));
                }
                // First, since the ledger is published from when it is there.
                place_checkpoint(paths, &work)?;
                let place = fs::rename(&database, paths.ledger())
                    .and_then(|()| durable::sync_directory(&paths.timing()));
                place.map_err(|error| ToolError::failed("put the old ledger in place", error))
            });
        let _ = fs::remove_dir_all(&work);
        done
    }

    /// Writes the entry that names the old head, once.
    fn tell(&self, ledger: &Ledger) -> Result<(), ToolError> {
        if last(ledger)?.is_some_and(|metadata| metadata["restore"] == json!(self.id)) {
            return Ok(());
        }
        let mut metadata = json!({
            "restore": self.id,
            "export": self.export,
            "actor": self.actor,
            "ledger": if self.ledger.is_some() { "taken-over" } else { "begun" },
        });
        if let Some(head) = &self.head {
            metadata["old_head"] = json!(head);
        }
        let entry = NewEntry {
            operation: BEGIN.to_owned(),
            target: self.host.clone(),
            metadata,
        };
        ledger.append(&entry)?;
        Ok(())
    }
}

/// Opens the ledger for writing; of a host that is being restored it begins with where that came from.
pub(crate) fn open_ledger(paths: &Paths) -> Result<Ledger, ToolError> {
    let Some(restoring) = Restoring::read(paths)? else {
        return Ok(Ledger::open(paths.ledger())?);
    };
    restoring.take_over(paths)?;
    let ledger = Ledger::open(paths.ledger())?;
    restoring.tell(&ledger)?;
    Ok(ledger)
}

/// What the last restore wrote into a ledger.
pub(crate) fn last(ledger: &Ledger) -> Result<Option<Value>, ToolError> {
    let mut found = ledger.query(&Filter {
        operation: Some(BEGIN.to_owned()),
        limit: Some(1),
        newest_first: true,
        ..Filter::default()
    })?;
    Ok(found.pop().map(|entry| entry.metadata))
}

/// Whether there is a ledger; something that cannot be read is taken for one, and says so when it is opened.
pub(crate) fn is_made(paths: &Paths) -> bool {
    Ledger::is_there(paths.ledger()).unwrap_or(true)
}

/// The containers made by command that a restore has still to write down.
pub(crate) fn by_command(paths: &Paths) -> Result<ByCommand, ToolError> {
    match Restoring::read(paths)? {
        Some(restoring) => restoring.containers(),
        None => Ok(ByCommand::new()),
    }
}

/// Ends a restore that got as far as making the places for everything.
pub(crate) fn settle(host: &Host) -> Result<(), ToolError> {
    let paths = &host.paths;
    let state = paths.containers();
    if !paths.restoring().exists()
        || !state.parent().is_some_and(Path::is_dir)
        || !btrfs::is_subvolume(paths.timing()).unwrap_or(false)
    {
        return Ok(());
    }
    if !state.exists() {
        host.save_by_command()?;
    }
    drop(open_ledger(paths)?);
    Restoring::end(paths);
    Ok(())
}

/// The ledger's file in a place that is one, or a directory with one.
pub(crate) fn database(place: &Path) -> PathBuf {
    match place.is_dir() {
        true => place.join(DATABASE),
        false => place.to_owned(),
    }
}

/// Whether a ledger is whole and that of the export: a remark for people where it ends before the export.
pub(crate) fn examine(
    ledger: &Ledger,
    head: Option<&Head>,
    paths: &Paths,
) -> Result<Option<String>, ToolError> {
    let refused = |why: String| {
        ToolError::Refused(format!(
            "{} is not the ledger of this export, or is damaged: {why}. Without --ledger a new ledger begins, and names the \
             old head",
            ledger.path().display()
        ))
    };
    let Some(head) = head else {
        return Err(refused("the export tells of no ledger".to_owned()));
    };
    let found = ledger.verify(None)?;
    if let Some(bad) = found.first_bad {
        return Err(refused(format!("entry {}: {}", bad.id, bad.reason)));
    }
    match kin(ledger, head, paths)? {
        Kin::Whole => Ok(None),
        Kin::Older(why) => Ok(Some(format!(
            "the copy ends with entry {}, and the export was made at {}: the entries in between are not in it. That it is \
             of the same host: {why}",
            found.head.id, head.id
        ))),
        Kin::Other(why) => Err(refused(why)),
    }
}

/// The ledger at a path, or what to do where this process sees none.
pub(crate) fn open_copy(path: &Path) -> Result<Ledger, ToolError> {
    let hidden = ["/tmp", "/var/tmp"].iter().any(|own| path.starts_with(own));
    match (path.exists(), hidden) {
        (true, _) => Ok(Ledger::open_read_only(path)?),
        (false, true) => Err(ToolError::NotFound(format!(
            "there is no ledger at {} as far as this process sees. The daemon may have a /tmp and /var/tmp of its own \
             (PrivateTmp=): copy it elsewhere, such as to /root or /var/lib, and name that",
            path.display()
        ))),
        (false, false) => Err(ToolError::NotFound(format!(
            "there is no ledger at {}",
            path.display()
        ))),
    }
}

/// Copies a ledger with its write-ahead log and its checkpoint.
fn copy(source: &Path, work: &Path) -> io::Result<()> {
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir(work)?;
    let database = database(source);
    let mut log = database.clone().into_os_string();
    log.push("-wal");
    let log = PathBuf::from(log);
    let checkpoint = database.with_file_name("checkpoint");
    for (from, to) in [
        (&database, DATABASE),
        (&log, "blockchain.db-wal"),
        (&checkpoint, "checkpoint"),
    ] {
        if *from != database && !from.is_file() {
            continue;
        }
        let to = work.join(to);
        fs::copy(from, &to)?;
        File::open(&to)?.sync_all()?;
    }
    Ok(())
}

/// Puts the old host's checkpoint in place: as the newest one if this host has the key that signed it. Without the
/// key none that continues it can be signed, so it stays beside as evidence, and this host begins with its own.
fn place_checkpoint(paths: &Paths, work: &Path) -> Result<(), ToolError> {
    let from = work.join("checkpoint");
    if !from.exists() {
        return Ok(());
    }
    let failed = |error| ToolError::failed("put the old checkpoint in place", error);
    let signed = SignedCheckpoint::parse(&fs::read(&from).map_err(failed)?);
    let ours = match signed {
        Ok(signed) => is_ours(paths, &signed)?,
        Err(_) => false,
    };
    let name = if ours { "checkpoint" } else { OLD_CHECKPOINT };
    fs::rename(from, paths.timing().join(name)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use ledger::Publisher;
    use tlog::{Algorithm, KeyFile};

    use super::*;

    fn old_ledger(dir: &Path) -> (Ledger, Head) {
        let ledger = Ledger::open(dir.join(DATABASE)).unwrap();
        for n in 0..5 {
            let entry = NewEntry {
                operation: "x".to_owned(),
                target: "host".to_owned(),
                metadata: json!({ "n": n }),
            };
            ledger.append(&entry).unwrap();
        }
        let head = ledger.head().unwrap();
        let head = Head {
            id: head.id,
            hash: head.hash.to_string(),
            time: String::new(),
            checkpoint: None,
        };
        (ledger, head)
    }

    fn restoring(head: Head, ledger: Option<PathBuf>) -> Restoring {
        Restoring {
            id: "20260131-120000-0a1b2c".to_owned(),
            export: "0".repeat(64),
            host: "old".to_owned(),
            head: Some(head),
            containers: json!(ContainersFile::default()),
            ledger,
            actor: json!({ "name": "tester" }),
        }
    }

    fn new_host(dir: &Path) -> Paths {
        let paths = Paths {
            base: dir.join("base"),
        };
        fs::create_dir_all(paths.timing()).unwrap();
        paths
    }

    #[test]
    fn a_new_ledger_begins_with_the_old_head_and_says_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let (_, head) = old_ledger(dir.path());
        let paths = new_host(dir.path());
        restoring(head.clone(), None).begin(&paths).unwrap();
        for _ in 0..2 {
            let ledger = open_ledger(&paths).unwrap();
            assert_eq!(ledger.head().unwrap().id, 1);
            let entry = ledger.get(1).unwrap().unwrap();
            assert_eq!(entry.operation, BEGIN);
            assert_eq!(entry.metadata["old_head"]["hash"], json!(head.hash));
            assert!(ledger.verify(None).unwrap().valid);
        }
    }

    #[test]
    fn a_copy_of_the_old_ledger_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        // Open, so that part of it is in the write-ahead log.
        let (_open, head) = old_ledger(dir.path());
        let paths = new_host(dir.path());
        let restoring = restoring(head.clone(), Some(dir.path().to_owned()));
        restoring.begin(&paths).unwrap();
        // A crash left half a copy.
        fs::create_dir(paths.timing().join("restore.tmp")).unwrap();
        let ledger = open_ledger(&paths).unwrap();
        assert_eq!(ledger.head().unwrap().id, head.id + 1);
        let expected = format!("{}:{}", head.id, head.hash);
        assert!(ledger.verify(Some(&expected)).unwrap().valid);
        assert!(!paths.timing().join("restore.tmp").exists());
    }

    #[test]
    fn a_copy_is_published_on_with_the_old_key_or_with_a_new_one() {
        for with_key in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (old, head) = old_ledger(dir.path());
            let name = "old/ledger".parse().unwrap();
            let keys = KeyFile::at(dir.path().join("keys/checkpoint.key"));
            let key = keys.open_or_create(&name, Algorithm::Ed25519).unwrap();
            Publisher::open(&old, key).unwrap().publish(&old).unwrap();
            let signed = fs::read(dir.path().join("checkpoint")).unwrap();

            let paths = new_host(dir.path());
            if with_key {
                fs::create_dir(paths.keys()).unwrap();
                fs::copy(keys.path(), paths.keys().join("checkpoint.key")).unwrap();
            }
            restoring(head, Some(dir.path().to_owned()))
                .begin(&paths)
                .unwrap();
            let ledger = open_ledger(&paths).unwrap();
            let kept = match with_key {
                true => "checkpoint",
                false => OLD_CHECKPOINT,
            };
            assert_eq!(fs::read(paths.timing().join(kept)).unwrap(), signed);
            let own = KeyFile::at(paths.keys().join("checkpoint.key"));
            let own = own.open_or_create(&name, Algorithm::Ed25519).unwrap();
            let known = ledger::Expectations {
                key: Some(own.verifier().clone()),
                ..ledger::Expectations::default()
            };
            Publisher::open(&ledger, own)
                .unwrap()
                .publish(&ledger)
                .unwrap();
            let audit = ledger.audit(&known).unwrap();
            assert!(audit.valid, "{with_key}: {audit:?}");
        }
    }

    #[test]
    fn a_ledger_of_another_history_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (_, mut head) = old_ledger(dir.path());
        head.hash = "1".repeat(64);
        let paths = new_host(dir.path());
        restoring(head, Some(dir.path().to_owned()))
            .begin(&paths)
            .unwrap();
        assert!(matches!(open_ledger(&paths), Err(ToolError::Refused(_))));
        assert_eq!(fs::read_dir(paths.timing()).unwrap().count(), 0);
    }

    /// Publishes a ledger under a key, and gives the checkpoint.
    fn published(ledger: &Ledger, key: &str) -> String {
        let mut publisher = Publisher::open(ledger, key.parse().unwrap()).unwrap();
        publisher.publish(ledger).unwrap();
        publisher.checkpoint().unwrap().to_string()
    }

    fn key(name: &str) -> String {
        let name = name.parse().unwrap();
        tlog::SigningKey::generate(&name, Algorithm::Ed25519).unwrap()
    }

    #[test]
    fn an_older_copy_has_to_be_of_the_same_host() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = new_host(elsewhere.path());
        let (ledger, mut head) = old_ledger(dir.path());
        assert_eq!(examine(&ledger, Some(&head), &paths).unwrap(), None);
        assert!(examine(&ledger, None, &paths).is_err());
        // Any host has a shorter ledger.
        head.id += 10;
        let refused = examine(&ledger, Some(&head), &paths).unwrap_err();
        assert!(refused.to_string().contains("no checkpoint"), "{refused}");

        // Its entries make the root that the export has.
        let own = key("old/ledger");
        let checkpoint = published(&ledger, &own);
        head.checkpoint = Some(checkpoint);
        let remark = examine(&ledger, Some(&head), &paths).unwrap().unwrap();
        assert!(
            remark.contains("ends with entry 5") && remark.contains("6 entries"),
            "{remark}"
        );

        // The export's is of more entries: the log and its key have to be the same.
        let more = tempfile::tempdir().unwrap();
        let (longer, _) = old_ledger(more.path());
        for _ in 0..4 {
            longer
                .append(&NewEntry {
                    operation: "y".to_owned(),
                    target: "host".to_owned(),
                    metadata: json!({}),
                })
                .unwrap();
        }
        head.checkpoint = Some(published(&longer, &own));
        let remark = examine(&ledger, Some(&head), &paths).unwrap().unwrap();
        assert!(remark.contains("could not be"), "{remark}");
        for strange in ["old/ledger", "other/ledger"] {
            let other = tempfile::tempdir().unwrap();
            let (stranger, _) = old_ledger(other.path());
            published(&stranger, &key(strange));
            let refused = examine(&stranger, Some(&head), &paths).unwrap_err();
            assert!(
                matches!(refused, ToolError::Refused(_)),
                "{strange}: {refused}"
            );
        }
    }
}
