//! Names whose values are nobody's business: neither shown, nor logged, nor kept.
//!
//! This is the one list of them. Whatever shows names with their values asks here, so that a name that is
//! masked in one place is masked in all. A value that is masked for nothing costs a look elsewhere, one that is shown
//! by mistake cannot be taken back: in doubt a name sounds secret.

/// Parts that make a name sound secret wherever in it they stand.
const PARTS: [&str; 10] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "cred",
    "private",
    "authorization",
    "bearer",
    "psk",
    "cookie",
];

/// The same of several words, which may be joined, or apart with something between them.
const JOINED: [&str; 5] = ["apikey", "accesskey", "authkey", "presharedkey", "privkey"];

/// Words that make a name sound secret only if they stand for themselves: others begin or end so (`author`, `monkey`).
const WORDS: [&str; 3] = ["key", "auth", "chap"];

/// Whether a name is that of a secret: the narrowest question, for where a name left out is a loss too.
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let joined: String = lower.chars().filter(|c| !separates(*c)).collect();
    PARTS.iter().any(|part| lower.contains(part)) || JOINED.iter().any(|part| joined.contains(part))
}

/// Whether a name sounds like that of a secret. Case, and what stands between words, do not matter.
pub fn sounds_secret(name: &str) -> bool {
    let has = |abbreviations| words(name, abbreviations).any(|word| WORDS.contains(&word.as_str()));
    is_secret(name) || has(false) || has(true)
}

/// Whether a name might be that of a secret: the widest question, for names that are not ours and often run
/// together, such as options of mounts and of the kernel.
pub fn may_be_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    sounds_secret(name) || WORDS.iter().any(|part| lower.contains(part))
}

fn separates(c: char) -> bool {
    !c.is_alphanumeric()
}

/// The words of a name in small letters, without plural and number: `apiKeys2` is `api` and `key`. With
/// `abbreviations` one ends before the capital of the next word: `SSHKey` is `ssh` and `key`, but `KEYs` is none.
fn words(name: &str, abbreviations: bool) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek();
        let ends = || !before.is_uppercase() || next.is_some_and(|next| next.is_lowercase());
        let begins = c.is_uppercase() && (before.is_lowercase() || (abbreviations && ends()));
        if separates(c) || begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| !separates(c)) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.into_iter().map(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        word.strip_suffix('s').unwrap_or(word).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What was masked anywhere is masked everywhere.
    #[test]
    fn names_of_secrets_sound_so() {
        for name in [
            "password",
            "DB_PASSWORD",
            "PGPASSWORD",
            "passwd",
            "passphrase",
            "wifi.pass",
            "pwd",
            "client_secret",
            "X-Auth-Token",
            "github token",
            "credentials",
            "cred",
            "private_key",
            "privateKey",
            "Authorization",
            "Proxy-Authorization",
            "bearer",
            "api-key",
            "api_key",
            "apikey",
            "API.KEY",
            "apiKey",
            "myapikeyfile",
            "access_key",
            "AWS_SECRET_ACCESS_KEY",
            "pre-shared-key",
            "auth-key",
            "authkey",
            "cookie",
            "psk",
            "wpa_psk",
            "key",
            "keys",
            "KEY2",
            "signing_key",
            "SSHKey",
            "KEYs",
            "TLSKeys",
            "ed25519Key",
            "privkey",
            "PRIVKEY",
            "auth",
            "chap",
            "node.session.auth.chap",
        ] {
            assert!(sounds_secret(name), "{name}");
            assert!(may_be_secret(name), "{name}");
        }
    }

    #[test]
    fn other_names_do_not() {
        for name in [
            "", "name", "keyboard", "author", "monkey", "path", "unit", "chapter", "ups_kind",
            "target",
        ] {
            assert!(!sounds_secret(name), "{name}");
        }
    }

    /// What is confirmed is bound to values by such names, and tunnels are told apart by them.
    #[test]
    fn a_key_alone_need_not_be_a_secret() {
        for name in ["key", "keys", "auth", "public_key"] {
            assert!(!is_secret(name), "{name}");
        }
        for name in ["private_key", "psk", "apiToken", "api-key"] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn options_that_run_together_may_be_secret() {
        for name in [
            "keyfile",
            "keyring",
            "wskey",
            "rd.iscsi.chapname",
            "authtype",
            "KEYID",
        ] {
            assert!(may_be_secret(name), "{name}");
        }
        for name in ["rw", "noatime", "root", "vers", "console"] {
            assert!(!may_be_secret(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_stands_around_a_part_hides_nothing(
            before in "[a-zA-Z_.-]{0,6}",
            part in proptest::sample::select(PARTS.to_vec()),
            after in "[a-zA-Z0-9_.-]{0,6}",
        ) {
            let (small, large) = (format!("{before}{part}{after}"), part.to_ascii_uppercase());
            prop_assert!(is_secret(&small));
            let large = format!("{before}{large}{after}");
            prop_assert!(is_secret(&large));
        }

        #[test]
        fn no_name_does_harm(name in any::<String>()) {
            prop_assert!(!is_secret(&name) || sounds_secret(&name));
            prop_assert!(!sounds_secret(&name) || may_be_secret(&name));
        }
    }
}
