//! Foreign text: what is left of it, and whose it is.

/// Text without what a terminal or a reader could take for something else, cut to so many bytes: escape
/// sequences, control characters but for line breaks and tabs, and characters that are not seen or turn the
/// direction of the text (Unicode's format characters, UAX #9, and the tags of UTS #51).
pub fn clean(text: &str, longest: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(longest + 4));
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_until_final(&mut rest),
            '\n' | '\t' => clean.push(character),
            hidden if hidden.is_control() || is_hidden(hidden) => {}
            shown => clean.push(shown),
        }
        if clean.len() > longest {
            let mut end = longest;
            while !clean.is_char_boundary(end) {
                end -= 1;
            }
            clean.truncate(end);
            clean.push('…');
            break;
        }
    }
    clean
}

/// A cleaned text that says whose it is.
pub fn foreign(name: &str, text: &str, longest: usize) -> String {
    format!("from {name}: {}", clean(text, longest).trim())
}

/// Skips what follows an escape character (ECMA-48, section 5).
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_until_final(rest);
        }
        // A command string, up to its terminator.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(character) = rest.next() {
                match character {
                    '\u{7}' | '\u{9c}' => break,
                    '\u{1b}' => {
                        rest.next_if_eq(&'\\');
                        break;
                    }
                    _ => {}
                }
            }
        }
        Some(_) => {
            rest.next();
        }
        None => {}
    }
}

/// Skips the parameters of a control sequence and the character that ends it.
fn skip_until_final(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while rest
        .next_if(|it| matches!(it, '\u{20}'..='\u{3f}'))
        .is_some()
    {}
    rest.next_if(|it| matches!(it, '\u{40}'..='\u{7e}'));
}

fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_controls_and_hidden_characters_go() {
        let text = "a\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}b\u{1b}]8;;x\u{1b}\\c\r\0\u{202e}d\u{200b}\u{e0041}\u{9b}2Je";
        assert_eq!(clean(text, 100), "ared bcde");
        assert_eq!(clean("a\tb\nc", 100), "a\tb\nc");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clean("äöü", 3), "ä…");
        assert_eq!(foreign("files", " Reads. ", 100), "from files: Reads.");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in "\\PC*|[\u{0}-\u{2ff}\u{2000}-\u{2070}]*", longest in 0usize..64) {
            let clean = clean(&text, longest);
            prop_assert!(clean.len() <= longest + '…'.len_utf8());
            prop_assert!(!clean.chars().any(|it| (it.is_control() && it != '\n' && it != '\t') || is_hidden(it)));
        }
    }
}
