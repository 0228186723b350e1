//! Text as stems: the same for documents and for questions.

/// Words that say nothing about what is meant.
const EMPTY: [&str; 44] = [
    "a", "about", "all", "an", "and", "any", "are", "at", "be", "by", "can", "do", "does", "for",
    "from", "has", "have", "how", "i", "in", "into", "is", "it", "its", "me", "my", "of", "on",
    "or", "please", "some", "that", "the", "their", "there", "this", "to", "us", "was", "what",
    "which", "with", "you", "your",
];

/// The longest stem, in characters; the rest of a longer one is left out.
const LONGEST: usize = 32;

/// The stems of a text, in order. `ListUnitsByPatterns` and `list_units-by patterns` give the same.
pub fn stems(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        for part in humps(word) {
            let part: String = part.to_lowercase().chars().take(LONGEST).collect();
            if !EMPTY.contains(&part.as_str()) {
                all.push(stem(&part));
            }
        }
    }
    all
}

/// Stems, and each two that stand side by side as one, since `time zone` is `timezone` elsewhere.
pub(crate) fn joined(stems: &[String]) -> impl Iterator<Item = String> {
    stems.windows(2).map(|pair| pair.concat())
}

/// Parts of a word in mixed case: `GetUnitByPIDFD2` is `Get`, `Unit`, `By`, `PIDFD2`.
fn humps(word: &str) -> Vec<&str> {
    let mut cuts = Vec::new();
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    for window in chars.windows(3) {
        let [(_, before), (at, here), (_, after)] = window else {
            continue;
        };
        // The last capital of a run begins the next word.
        if before.is_uppercase() && here.is_uppercase() && after.is_lowercase() {
            cuts.push(*at);
        }
    }
    for window in chars.windows(2) {
        let [(_, before), (at, here)] = window else {
            continue;
        };
        if before.is_lowercase() && here.is_uppercase() {
            cuts.push(*at);
        }
    }
    cuts.sort_unstable();
    let mut parts = Vec::with_capacity(cuts.len() + 1);
    let mut rest = 0;
    for cut in cuts {
        parts.push(&word[rest..cut]);
        rest = cut;
    }
    parts.push(&word[rest..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// A word without the endings of number and time. It need not be a word, only the same for its forms.
fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    let base = match word {
        _ if word.ends_with("ies") && word.len() > 4 => {
            return format!("{}y", &word[..word.len() - 3]);
        }
        _ if word.ends_with("sses") => &word[..word.len() - 2],
        _ if ["ches", "shes", "xes"]
            .iter()
            .any(|end| word.ends_with(end)) =>
        {
            &word[..word.len() - 2]
        }
        _ if word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) => {
            &word[..word.len() - 1]
        }
        _ => word,
    };
    let root = ["ing", "ed"].iter().find_map(|end| {
        let root = base.strip_suffix(end)?;
        let has_vowel = root.bytes().any(|byte| b"aeiouy".contains(&byte));
        (root.len() >= 3 && has_vowel).then_some(root)
    });
    match root {
        Some(root) => undouble(root).trim_end_matches('e').to_owned(),
        None if base.len() > 4 => base.trim_end_matches('e').to_owned(),
        None => base.to_owned(),
    }
}

/// `stopp` as `stop`, but not `kill` as `kil`.
fn undouble(root: &str) -> &str {
    let bytes = root.as_bytes();
    match bytes {
        [.., one, other] if one == other && !b"lsz".contains(one) => &root[..root.len() - 1],
        _ => root,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_and_sentences_give_the_same_stems() {
        assert_eq!(stems("ListUnitsByPatterns"), ["list", "unit", "pattern"]);
        assert_eq!(stems("list_units-by patterns"), ["list", "unit", "pattern"]);
        assert_eq!(stems("GetUnitByPIDFD"), ["get", "unit", "pidfd"]);
        assert_eq!(stems("SetDNSOverTLS"), ["set", "dns", "over", "tls"]);
        assert_eq!(stems("What is the IP of eth0?"), ["ip", "eth0"]);
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for (one, other) in [
            ("stop", "stopped"),
            ("stops", "stopping"),
            ("restart", "restarting"),
            ("service", "services"),
            ("cache", "caches"),
            ("refreshes", "refreshed"),
            ("query", "queries"),
            ("enable", "enabled"),
            ("machine", "machines"),
            ("process", "processes"),
            ("kill", "killing"),
        ] {
            assert_eq!(stems(one), stems(other));
        }
        assert_ne!(stems("string"), stems("str"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,200}") {
            for stem in stems(&text) {
                proptest::prop_assert!(stem.chars().count() <= LONGEST + 1);
            }
        }
    }
}
