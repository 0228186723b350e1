//! Command lines without the secrets that people put there.

use secret_names::sounds_secret;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Flags whose value is `USER:PASSWORD`.
const LOGIN: [&str; 4] = ["-u", "-U", "--user", "--proxy-user"];

/// The arguments with everything masked that looks like a secret. It would rather mask too much.
pub(super) fn masked(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut before: Option<String> = None;
    let masked = arguments.into_iter().map(|argument| {
        let previous = before.replace(argument.clone());
        match previous.as_deref() {
            Some(flag) if announces(flag) => MASK.to_owned(),
            Some(flag) if LOGIN.contains(&flag) => match argument.split_once(':') {
                Some((user, _)) => format!("{user}:{MASK}"),
                None => argument,
            },
            _ => logins(&values(&argument)),
        }
    });
    masked.collect()
}

/// Whether a flag says that the next argument is a secret.
fn announces(flag: &str) -> bool {
    let bare = flag.starts_with('-')
        && !flag.contains(|c: char| c == '=' || c == ':' || c.is_whitespace());
    bare && sounds_secret(flag)
}

/// Masks `NAME=VALUE`, `NAME: VALUE` and `--NAME VALUE` inside of one text.
fn values(text: &str) -> String {
    // ASCII letters alone change, so places are the same in both.
    let lower = text.to_ascii_lowercase();
    let mut masked = String::with_capacity(text.len());
    let (mut done, mut place) = (0, 0);
    while let Some((start, end)) = name(text, place) {
        place = end;
        if !sounds_secret(&text[start..end]) {
            continue;
        }
        let name = &lower[start..end];
        let spaced = name.starts_with('-') || name.ends_with("bearer");
        let (from, to) = match value(&lower, end, spaced) {
            // The scheme comes before the secret there.
            Some((from, _)) if name.contains("authorization") => (from, lower.len()),
            Some(range) => range,
            None => continue,
        };
        masked.push_str(&text[done..from]);
        if from < to {
            masked.push_str(MASK);
        }
        (done, place) = (to, to);
    }
    masked.push_str(&text[done..]);
    masked
}

/// The first name at or after `from`: where it begins and ends.
fn name(text: &str, from: usize) -> Option<(usize, usize)> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = from + text[from..].find(in_name)?;
    Some((start, start + skip(&text[start..], in_name)))
}

/// Where the value of a name that ends at `end` begins and ends.
fn value(lower: &str, end: usize, spaced: bool) -> Option<(usize, usize)> {
    let space = |c: char| c.is_whitespace();
    let quote = |c: char| matches!(c, '"' | '\'');
    let mut place = end + skip(&lower[end..], quote);
    let gap = skip(&lower[place..], space);
    let separator = lower[place + gap..].starts_with(['=', ':']);
    if !(separator || spaced && gap > 0) {
        return None;
    }
    place += gap + usize::from(separator);
    place += skip(&lower[place..], space);
    let rest = &lower[place..];
    let length = match rest.chars().next().filter(|c| quote(*c)) {
        Some(open) => {
            let inside = &rest[1..];
            1 + inside.find(open).map_or(inside.len(), |close| close + 1)
        }
        None => {
            let ends = |c: char| c.is_whitespace() || quote(c) || matches!(c, ',' | '&' | ';');
            rest.find(ends).unwrap_or(rest.len())
        }
    };
    Some((place, place + length))
}

fn skip(text: &str, over: impl Fn(char) -> bool) -> usize {
    text.find(|c| !over(c)).unwrap_or(text.len())
}

/// Masks the password in `SCHEME://USER:PASSWORD@HOST`.
fn logins(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("://") {
        let (before, after) = rest.split_at(place + 3);
        masked.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '"' | '\''))
            .unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((login, host)) => {
                let user = login.split_once(':').map(|(user, _)| user);
                match user {
                    Some(user) => masked.push_str(&format!("{user}:{MASK}@{host}")),
                    None => masked.push_str(authority),
                }
            }
            None => masked.push_str(authority),
        }
        rest = behind;
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> String {
        masked(line.split('|').map(str::to_owned)).join("|")
    }

    #[test]
    fn secrets_are_masked_in_all_their_forms() {
        for (line, expected) in [
            ("app|--password=hunter2|-v", "app|--password=***|-v"),
            ("app|--password|hunter2|-v", "app|--password|***|-v"),
            (
                "env|GITHUB_TOKEN=hunter2|PGPASSWORD=hunter2",
                "env|GITHUB_TOKEN=***|PGPASSWORD=***",
            ),
            (
                "curl|-H|Authorization: Bearer hunter2|x",
                "curl|-H|Authorization: ***|x",
            ),
            (
                "curl|-u|bob:hunter2|--user|eve:hunter2",
                "curl|-u|bob:***|--user|eve:***",
            ),
            (
                "git|clone|https://bob:hunter2@h.example/x",
                "git|clone|https://bob:***@h.example/x",
            ),
            (
                "mount|-o|username=bob,password=hunter2,ro",
                "mount|-o|username=bob,password=***,ro",
            ),
            (
                "sh|-c|mysql --password hunter2 db; ls",
                "sh|-c|mysql --password *** db; ls",
            ),
            (
                "sh|-c|export API_KEY='hunter2 x' && go",
                "sh|-c|export API_KEY=*** && go",
            ),
            (
                "x|{\"token\": \"hunter2\", \"a\": 1}",
                "x|{\"token\": ***, \"a\": 1}",
            ),
            ("openssl|-passin|pass:hunter2", "openssl|-passin|***"),
            (
                "x|http://h/?access_token=hunter2&b=1",
                "x|http://h/?access_token=***&b=1",
            ),
            ("x|--db-passphrase:hunter2", "x|--db-passphrase:***"),
        ] {
            assert_eq!(one(line), expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            "sshd: bob@pts/0",
            "nginx|-g|daemon off;",
            "postgres|-D|/var/lib/postgres",
            "/usr/bin/passwd",
            "tar|-C|/tmp/tokens|-xf|a.tar",
            "curl|-u|bob",
            "git|clone|https://bob@h.example/x",
        ] {
            assert_eq!(one(line), line);
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm(parts in proptest::collection::vec(
            "(pass|token=|--secret |Bearer|://|:|@|=|\"|'|ä|é| |a|-){0,8}", 0..4)) {
            let count = parts.len();
            prop_assert_eq!(masked(parts).len(), count);
        }

        #[test]
        fn the_value_never_shows(before in "[a-z ]{0,5}", key in "(password|API_KEY|my-token)", after in "[ ,&;][a-z]{0,5}") {
            let text = format!("{before}{key}=XYZZY{after}");
            prop_assert!(!masked([text]).concat().contains("XYZZY"));
        }
    }
}
