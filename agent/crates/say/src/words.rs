//! Text as words and sentences.

/// The most words of one sentence that are looked at; a longer one is no order.
pub(crate) const MOST_WORDS: usize = 64;
/// The most sentences of one message that are looked at.
pub(crate) const MOST_SENTENCES: usize = 32;

/// A word as it was written, without the punctuation around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it was written.
    pub(crate) text: String,
    /// In small letters, with a straight apostrophe.
    pub(crate) lower: String,
    /// It stood in quotation marks.
    pub(crate) quoted: bool,
    /// A comma follows.
    pub(crate) comma: bool,
}

/// A sentence: its words, and what stands around them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sentence {
    /// As it was written.
    pub(crate) text: String,
    /// Its words.
    pub(crate) words: Vec<Word>,
    /// It ends with a question mark.
    pub(crate) question: bool,
    /// It has a colon, is quoted, or is too long: somebody tells of something.
    pub(crate) told: bool,
}

/// The sentences of a text. The second is true if there were more than are looked at.
pub(crate) fn sentences(text: &str) -> (Vec<Sentence>, bool) {
    let mut all = Vec::new();
    for line in text.lines() {
        let (line, quoted) = match line.trim_start().strip_prefix('>') {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        for mut sentence in of_line(line) {
            sentence.told |= quoted;
            if all.len() == MOST_SENTENCES {
                return (all, true);
            }
            all.push(sentence);
        }
    }
    (all, false)
}

fn of_line(line: &str) -> Vec<Sentence> {
    let mut all = Vec::new();
    let mut now = Sentence::default();
    let mut rest = line.trim();
    while !rest.is_empty() && all.len() <= MOST_SENTENCES {
        let (piece, quoted, after) = piece(rest);
        let end = add(&mut now, piece, quoted);
        now.text.push_str(&rest[..rest.len() - after.len()]);
        rest = after;
        if end || rest.is_empty() {
            let mut done = std::mem::take(&mut now);
            done.text = done.text.trim().to_owned();
            if !done.words.is_empty() {
                all.push(done);
            }
        }
    }
    all
}

/// The next word or quotation, whether it is quoted, and what follows it.
fn piece(text: &str) -> (&str, bool, &str) {
    let mut chars = text.chars();
    let close = match chars.next() {
        Some('"') => Some('"'),
        Some('\u{201c}') => Some('\u{201d}'),
        Some('`') => Some('`'),
        Some('\'') => Some('\''),
        _ => None,
    };
    if let Some(close) = close {
        let inner = chars.as_str();
        let ends = |(at, _): &(usize, &str)| {
            let after = &inner[at + close.len_utf8()..];
            let next = after.chars().next();
            next.is_none_or(|next| next.is_whitespace() || ",.;:!?)".contains(next))
        };
        if let Some((at, _)) = inner.match_indices(close).find(ends) {
            return (&inner[..at], true, &inner[at + close.len_utf8()..]);
        }
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], false, text[end..].trim_start())
}

/// Adds a word to a sentence; whether the sentence ends with it.
fn add(sentence: &mut Sentence, piece: &str, quoted: bool) -> bool {
    if quoted {
        push(sentence, piece, true);
        return false;
    }
    let word = piece.trim_matches(|c: char| ",.;:!?()".contains(c));
    let after = &piece[piece
        .trim_end_matches(|c: char| ",.;:!?()".contains(c))
        .len()..];
    // A colon tells of what somebody says; those within a word belong to it.
    sentence.told |= after.contains(':');
    if !word.is_empty() {
        push(sentence, word, false);
    }
    sentence.question |= after.contains('?');
    if after.contains(',')
        && let Some(last) = sentence.words.last_mut()
    {
        last.comma = true;
    }
    after.contains(['.', ';', '!', '?'])
}

fn push(sentence: &mut Sentence, text: &str, quoted: bool) {
    if sentence.words.len() == MOST_WORDS {
        sentence.told = true;
        return;
    }
    sentence.words.push(Word {
        text: text.to_owned(),
        lower: text.to_lowercase().replace('\u{2019}', "'"),
        quoted,
        comma: false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let (all, more) =
            sentences("Start web-01, then stop \"db 01\". What's v1.2?\n> quoted\nthe log says: x");
        assert!(!more);
        let texts: Vec<Vec<_>> = all
            .iter()
            .map(|sentence| sentence.words.iter().map(|word| &*word.text).collect())
            .collect();
        assert_eq!(texts[0], ["Start", "web-01", "then", "stop", "db 01"]);
        assert_eq!(texts[1], ["What's", "v1.2"]);
        assert!(all[0].words[1].comma && all[0].words[4].quoted && all[1].question);
        assert!(!all[0].told && all[2].told && all[3].told);
    }
}
