//! Tells what a model thinks from what it says, where its server does not: text that begins with `<think>`.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Parts the text of one answer.
#[derive(Debug, Default)]
pub(crate) struct Thinking {
    place: Place,
    /// What may be the beginning of a mark.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    Behind,
}

/// A piece of text: thought first, then said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parted {
    pub(crate) thought: String,
    pub(crate) said: String,
}

impl Thinking {
    /// Parts the next piece.
    pub(crate) fn feed(&mut self, piece: &str) -> Parted {
        let mut parted = Parted::default();
        self.held.push_str(piece);
        if self.place == Place::Before {
            let text = self.held.trim_start();
            if let Some(rest) = text.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.place = Place::Inside;
            } else if OPEN.starts_with(text) {
                return parted;
            } else {
                self.place = Place::Behind;
            }
        }
        if self.place == Place::Inside {
            if let Some(end) = self.held.find(CLOSE) {
                parted.thought.push_str(&self.held[..end]);
                self.held = self.held[end + CLOSE.len()..].trim_start().to_owned();
                self.place = Place::Behind;
            } else {
                let kept = (1..CLOSE.len())
                    .rev()
                    .find(|n| self.held.ends_with(&CLOSE[..*n]));
                let tail = self.held.split_off(self.held.len() - kept.unwrap_or(0));
                parted.thought = std::mem::replace(&mut self.held, tail);
                return parted;
            }
        }
        parted.said = std::mem::take(&mut self.held);
        parted
    }

    /// What was held back when the answer ended.
    pub(crate) fn finish(&mut self) -> Parted {
        let rest = std::mem::take(&mut self.held);
        match self.place {
            Place::Inside => Parted {
                thought: rest,
                said: String::new(),
            },
            _ => Parted {
                thought: String::new(),
                said: rest,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parted(pieces: &[String]) -> (String, String) {
        let mut thinking = Thinking::default();
        let (mut thought, mut said) = (String::new(), String::new());
        let mut add = |parted: Parted| {
            thought.push_str(&parted.thought);
            said.push_str(&parted.said);
        };
        for piece in pieces {
            add(thinking.feed(piece));
        }
        add(thinking.finish());
        (thought, said)
    }

    #[test]
    fn only_what_it_begins_with_is_thought() {
        for (text, thought, said) in [
            ("\n<think>a < b</think>\n\nYes", "a < b", "Yes"),
            ("Use <think> so", "", "Use <think> so"),
            ("<think>no end </thin", "no end </thin", ""),
            ("<thi", "", "<thi"),
            ("", "", ""),
        ] {
            assert_eq!(parted(&[text.to_owned()]), (thought.into(), said.into()));
        }
    }

    proptest! {
        #[test]
        fn how_it_is_cut_does_not_matter(
            parts in prop::collection::vec(
                prop::sample::select(vec!["<think>", "</think>", "<", "</", "é", "x ", "</th", "\n"]), 0..12),
        ) {
            let text = parts.concat();
            let each: Vec<_> = text.chars().map(String::from).collect();
            // Space behind the mark may come in a piece of its own; it is no text.
            let trim = |(thought, said): (String, String)| (thought, said.trim_start().to_owned());
            prop_assert_eq!(trim(parted(&each)), trim(parted(&[text])));
        }
    }
}
