//! The far end: takes in what is sent, or leaves no trace of it.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use btrfs::Uuid;
use btrfs::stream::Subject;
use rustix::event::PollFlags;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result, failed};
use crate::incoming::{self, Incoming};
use crate::local::named;
use crate::name::Name;
use crate::receiver::{Bounds, Source, ready, receive_from};
use crate::wire::{
    Answer, Held, HeldSubvolume, LONGEST_MANIFEST, MOST_SUBVOLUMES, Offer, Request, VERSION, frame,
    hear, say,
};

/// How long a transfer waits for the end of another, which may just have been broken off.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the far end puts up with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Nothing is ever removed for the sending end.
    pub append_only: bool,
    /// Bytes of one stream.
    pub largest: u64,
    /// How long the sending end may be silent.
    pub idle: Duration,
    /// How long one stream may take.
    pub longest: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            append_only: false,
            largest: u64::MAX,
            idle: Duration::from_secs(10 * 60),
            longest: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Looks into what was received before it gets its place.
pub trait Check {
    /// Whether it knows this kind of subvolume.
    fn knows(&self, subvolume: &Name) -> bool;

    /// Looks at a writable snapshot of one; gives what it found, for people, or why it must not be kept.
    fn look(&self, subvolume: &Name, copy: &Path) -> std::result::Result<String, String>;
}

/// Serves one sending end, until that closes its end of `input`.
///
/// `root` is a directory on btrfs. Takes CAP_SYS_ADMIN.
pub fn serve(
    root: &Path,
    terms: &Terms,
    check: &dyn Check,
    input: impl Read + AsFd,
    mut output: impl Write,
) -> Result<()> {
    let served = Far::open(root, terms, check).and_then(|far| {
        let input = Patient {
            input,
            idle: terms.idle,
        };
        far.serve(&mut BufReader::with_capacity(1 << 20, input), &mut output)
    });
    if let Err(error) = &served {
        let text = error.to_string();
        // Whoever is gone hears nothing.
        let _ = say(&mut output, &Answer::Failed { text });
    }
    served
}

struct Far<'a> {
    root: PathBuf,
    terms: &'a Terms,
    check: &'a dyn Check,
    /// One transfer at a time; held as long as a `btrfs receive` of this one lives.
    lock: File,
}

impl<'a> Far<'a> {
    fn open(root: &Path, terms: &'a Terms, check: &'a dyn Check) -> Result<Self> {
        let root = fs::canonicalize(root).map_err(failed("find", root))?;
        if !btrfs::is_btrfs(&root)? || !root.is_dir() {
            return Err(Error::Refused(format!(
                "{} is no directory on btrfs, which is what snapshots are received into",
                root.display()
            )));
        }
        let lock = File::open(&root).map_err(failed("open", &root))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Refused(format!(
                        "another transfer into {} is under way",
                        root.display()
                    )));
                }
                Err(errno) => return Err(failed("lock", &root)(errno)),
            }
        }
        incoming::clean(&root)?;
        Ok(Self {
            root,
            terms,
            check,
            lock,
        })
    }

    fn serve<R: Read>(&self, input: &mut BufReader<R>, output: &mut impl Write) -> Result<()> {
        let mut greeted = false;
        while let Some(request) = hear(input)? {
            match request {
                Request::Hello { version: VERSION } => {
                    let held = self.held()?;
                    let version = VERSION;
                    answer(output, &Answer::Here { version, held })?;
                    greeted = true;
                }
                Request::Hello { version } => {
                    return Err(Error::Protocol(format!(
                        "it speaks version {version}, this end version {VERSION}: install the same version of \
                         op-dbus at both ends"
                    )));
                }
                _ if !greeted => return Err(Error::Protocol("it did not say hello".to_owned())),
                Request::Receive {
                    snapshot,
                    taken,
                    manifest,
                    subvolumes,
                } => {
                    let incoming = self.begin(&snapshot, manifest.as_deref(), &subvolumes)?;
                    answer(output, &Answer::Ready)?;
                    for offer in &subvolumes {
                        let checked = self.take(&incoming, offer, input)?;
                        answer(output, &Answer::Received { checked })?;
                    }
                    let place = self.root.join(&snapshot);
                    incoming.publish(&place, taken, manifest.as_deref())?;
                    answer(output, &Answer::Complete)?;
                }
                Request::Prune { keep, spare } => {
                    let names = self.prune(keep, &spare)?;
                    answer(output, &Answer::Pruned { names })?;
                }
            }
        }
        Ok(())
    }

    /// What is here and was made by this program, the oldest first.
    fn held(&self) -> Result<Vec<Held>> {
        let mut found = Vec::new();
        for (name, path) in named(&self.root)? {
            let Some(mark) = incoming::mark(&path) else {
                continue;
            };
            let mut subvolumes = Vec::new();
            for (name, path) in named(&path)? {
                if !btrfs::is_subvolume(&path)? {
                    continue;
                }
                let info = btrfs::info(&path)?;
                let unchanged = info.received.is_some() && info.changed <= mark.changed;
                subvolumes.push(HeldSubvolume {
                    name,
                    received: info.received_uuid,
                    intact: info.read_only && unchanged,
                });
            }
            found.push(Held {
                name,
                taken: mark.taken,
                subvolumes,
            });
        }
        found.sort_by(|a, b| (a.taken, &a.name).cmp(&(b.taken, &b.name)));
        Ok(found)
    }

    fn begin(
        &self,
        snapshot: &Name,
        manifest: Option<&str>,
        subvolumes: &[Offer],
    ) -> Result<Incoming> {
        let place = self.root.join(snapshot);
        if place.symlink_metadata().is_ok() {
            return Err(Error::Refused(format!(
                "{} is there already",
                place.display()
            )));
        }
        let mut names: Vec<_> = subvolumes.iter().map(|offer| &offer.name).collect();
        names.sort();
        names.dedup();
        let odd = subvolumes.is_empty()
            || subvolumes.len() > MOST_SUBVOLUMES
            || names.len() < subvolumes.len()
            || manifest.is_some_and(|text| text.len() > LONGEST_MANIFEST);
        if odd {
            return Err(Error::Protocol(
                "it offers a snapshot with too many subvolumes, none, one twice, or a long description"
                    .to_owned(),
            ));
        }
        Incoming::new(&self.root, snapshot)
    }

    /// Receives and verifies one subvolume.
    fn take<R: Read>(
        &self,
        incoming: &Incoming,
        offer: &Offer,
        input: &mut BufReader<R>,
    ) -> Result<Option<String>> {
        let bounds = Bounds {
            bytes: self.terms.largest,
            commands: u64::MAX,
            time: self.terms.longest,
        };
        // A place of its own, so that what is in there can only be this one.
        let room = incoming.path();
        let before = entries(room)?;
        let accept = |subject: &Subject| accept(subject, offer);
        let mut frames = Frames { input, left: 0 };
        receive_from(&mut frames, room, &bounds, Some(&self.lock), &accept)?;
        if entries(room)? != before + 1 {
            return Err(Error::Unverified(
                "the stream made more than its subvolume".to_owned(),
            ));
        }
        let path = room.join(&offer.name);
        self.verify(&path, offer)?;
        if !self.check.knows(&offer.name) {
            return Ok(None);
        }
        let copy = room.join(".look");
        btrfs::snapshot(&path, &copy, false)?;
        let found = self.check.look(&offer.name, &copy);
        btrfs::delete_recursive(&copy)?;
        found.map(Some).map_err(Error::Unverified)
    }

    fn verify(&self, path: &Path, offer: &Offer) -> Result<()> {
        let info = btrfs::info(path)?;
        let wrong = |what: &str| Err(Error::Unverified(format!("{}: {what}", offer.name)));
        if info.received_uuid != Some(offer.uuid) {
            return wrong("what was received has not the UUID of what was sent");
        }
        if !info.read_only {
            return wrong("what was received is not read-only");
        }
        match (offer.parent, info.parent_uuid) {
            (Some(parent), Some(base)) if self.is_received(base, parent)? => Ok(()),
            (None, None) => Ok(()),
            _ => wrong("what was received does not build on what was sent"),
        }
    }

    /// Whether the subvolume `base` of this file system was received of `parent`.
    fn is_received(&self, base: Uuid, parent: Uuid) -> Result<bool> {
        for (_, path) in named(&self.root)? {
            for (_, path) in named(&path)? {
                if !btrfs::is_subvolume(&path)? {
                    continue;
                }
                let info = btrfs::info(&path)?;
                if info.uuid == Some(base) && info.received_uuid == Some(parent) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Removes the oldest ones until `keep` are left; never the newest, nor any of `spare`.
    fn prune(&self, keep: u32, spare: &[Name]) -> Result<Vec<Name>> {
        let held = self.held()?;
        let surplus = held.len().saturating_sub(keep.max(1) as usize);
        let names: Vec<_> = held
            .into_iter()
            .take(surplus)
            .map(|held| held.name)
            .filter(|name| !spare.contains(name))
            .collect();
        if !names.is_empty() && self.terms.append_only {
            return Err(Error::Refused(
                "nothing is removed here for the sending end (--append-only): leave out `keep`"
                    .to_owned(),
            ));
        }
        for name in &names {
            incoming::remove(&self.root, name)?;
        }
        Ok(names)
    }
}

fn accept(subject: &Subject, offer: &Offer) -> Result<()> {
    let same = subject.name == offer.name.as_str()
        && subject.uuid == offer.uuid
        && subject.parent == offer.parent;
    match same {
        true => Ok(()),
        false => Err(Error::Unverified(format!(
            "the stream is of {} and builds on {}, which is not what was offered",
            subject.name.escape_debug(),
            match subject.parent {
                Some(parent) => parent.to_string(),
                None => "nothing".to_owned(),
            }
        ))),
    }
}

fn entries(directory: &Path) -> Result<usize> {
    let entries = fs::read_dir(directory).map_err(failed("list", directory))?;
    Ok(entries.count())
}

fn answer(output: &mut impl Write, answer: &Answer) -> Result<()> {
    say(output, answer).map_err(|error| Error::Gone(error.to_string()))
}

/// Reads from somebody who may be silent for so long.
struct Patient<R> {
    input: R,
    idle: Duration,
}

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let deadline = Instant::now() + self.idle;
        while !ready(&self.input, PollFlags::IN, deadline - Instant::now())? {
            if Instant::now() >= deadline {
                return Err(std::io::Error::other(format!(
                    "it was silent for {} s",
                    self.idle.as_secs()
                )));
            }
        }
        self.input.read(buffer)
    }
}

/// A stream in frames.
struct Frames<'a, R> {
    input: &'a mut R,
    left: usize,
}

impl<R: Read> Source for Frames<'_, R> {
    fn piece(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 {
            self.left = frame(self.input)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = self.left.min(buffer.len());
        let gone = |text: String| Error::Gone(format!("in the middle of a stream: {text}"));
        match self.input.read(&mut buffer[..most]) {
            Ok(0) => Err(gone("it closed the connection".to_owned())),
            Ok(length) => {
                self.left -= length;
                Ok(length)
            }
            Err(error) => Err(gone(error.to_string())),
        }
    }
}
