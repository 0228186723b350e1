//! What is asked for where a sentence does not say it.

use crate::fill::Ground;
use crate::frames::{Argument, Frame, From};
use crate::lexicon::Noun;
use crate::meaning::Slot;
use crate::names::count;
use crate::world::Kind;

/// What to ask for an argument.
pub(crate) fn asked(frame: &Frame, argument: &Argument, ground: &Ground<'_>) -> Slot {
    let kind = match argument.from {
        From::Known(kind) | From::Only(kind) | From::Second(kind) => Some(kind),
        From::Template => Some(Kind::Template),
        _ => None,
    };
    let candidates = kind.map_or(&[][..], |kind| ground.world.names(kind));
    let what = match (argument.name, kind) {
        ("name" | "unit", Some(kind)) => format!("Which {}?", word(kind)),
        ("name", None) if frame.nouns.contains(&Noun::Container) && several(ground) => {
            "What are they to be called? `web-1 to web-3` are three names.".to_owned()
        }
        ("name", None) if frame.tool.ends_with("create") => "What is it to be called?".to_owned(),
        (name, _) => format!("Which {}?", name.replace('_', " ")),
    };
    Slot {
        name: argument.name.to_owned(),
        question: what,
        candidates: candidates.iter().take(20).cloned().collect(),
    }
}

/// Whether more than one is to be made.
fn several(ground: &Ground<'_>) -> bool {
    count(ground.items).is_some_and(|(_, count)| count > 1)
}

/// A kind in a word.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "container",
        Kind::Template => "template",
        Kind::Unit => "unit",
        Kind::Bridge => "bridge",
        Kind::Snapshot => "snapshot",
        Kind::Plugin => "plugin",
        Kind::Interface => "interface",
        Kind::User => "user",
        Kind::Command => "command",
        Kind::Target => "target",
    }
}
