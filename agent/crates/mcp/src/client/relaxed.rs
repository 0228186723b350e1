//! JSON as editors write it: with comments, and commas behind the last element.

use serde_json::Value;

/// Reads it.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&strict(text)))
}

/// The text without comments and without commas before a closing bracket.
fn strict(text: &str) -> String {
    let mut strict = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('"', _) => {
                strict.push('"');
                copy_string(&mut rest, &mut strict);
            }
            ('/', Some('/')) => while rest.next_if(|it| *it != '\n').is_some() {},
            ('/', Some('*')) => {
                rest.next();
                let mut last = ' ';
                for character in rest.by_ref() {
                    if last == '*' && character == '/' {
                        break;
                    }
                    last = character;
                }
                strict.push(' ');
            }
            ('}' | ']', _) => {
                let end = strict.trim_end().len();
                if strict[..end].ends_with(',') {
                    strict.truncate(end - 1);
                }
                strict.push(character);
            }
            _ => strict.push(character),
        }
    }
    strict
}

fn copy_string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, strict: &mut String) {
    while let Some(character) = rest.next() {
        strict.push(character);
        match character {
            '"' => return,
            '\\' => strict.extend(rest.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_and_last_commas_are_passed_over() {
        let text = r#"{ // servers
            "a": ["http://x/*y*/", "\"//",], /* , */ "b": {"c": 1,},
        }"#;
        let expected = json!({ "a": ["http://x/*y*/", "\"//"], "b": { "c": 1 } });
        assert_eq!(parse(text).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn plain_json_stays(text in "[ -~]{0,40}") {
            let value = json!({ "key": [text] });
            prop_assert_eq!(parse(&strict(&value.to_string())).unwrap(), value);
        }
    }
}
