//! The section `chat`: the language model that the chat asks, if there is one.

use std::path::PathBuf;

use url::{Host, Url};

use crate::builtin::In;
use crate::define::{record, words};
use crate::form::{Rejected, Text};
use crate::values::AbsolutePath;

words! {
    /// When the model is asked.
    pub enum ModelWhen {
        /// Where the grammar does not know what is meant.
        Unknown = "unknown",
        /// For every message.
        Always = "always",
    }
}

record! {
    /// The chat of the web server. It needs no language model.
    pub struct Chat: Default {
        /// A language model that is asked too. What it proposes to change goes the way of everything else: the plan
        /// is shown, and a person approves it.
        model: Option<ChatModel> = None,
    }
}

record! {
    /// A language model behind an interface that is compatible with OpenAI's chat completions.
    pub struct ChatModel {
        /// Where its interface begins, without a key: for most servers it ends with `/v1`.
        url: String as ModelUrl,
        /// The name that the server knows the model by.
        name: String as ModelName,
        /// The file with the key that the server wants. The web server reads it; no other user should.
        key_file ("keyFile"): Option<PathBuf> as Option<AbsolutePath> = None,
        /// Allows `http` to another host: what is asked and answered, and the key, is read by whoever is in between.
        allow_http ("allowHttp"): bool = false,
        /// How many seconds the model may take for one message, with all that it looks up.
        timeout_seconds ("timeoutSeconds"): u32 as In<1, 3600> = 120,
        /// How many times the model is asked again with what its tools returned, for one message.
        max_steps ("maxSteps"): u32 as In<1, 64> = 8,
        /// How many tokens one message may cost in all: what is sent and what comes back, of every step.
        max_tokens ("maxTokens"): u32 as In<1024, 10_000_000> = 65_536,
        /// How many tokens fit into the model at once. Older parts of a conversation are cut to fit.
        context_tokens ("contextTokens"): u32 as In<2048, 10_000_000> = 8192,
        /// How many tokens all users together may use in a day (UTC); no limit without it.
        daily_tokens ("dailyTokens"): Option<u32> as Option<In<1024, 4_294_967_295>> = None,
        /// When the model is asked.
        when: ModelWhen = ModelWhen::Unknown,
    }
}

impl ChatModel {
    /// Whether the model is on this host: its URL has a loopback address or `localhost` (RFC 6761 §6.3).
    pub fn is_local(&self) -> bool {
        let url = Url::parse(&self.url);
        match url.as_ref().map(Url::host) {
            Ok(Some(Host::Ipv4(address))) => address.is_loopback(),
            Ok(Some(Host::Ipv6(address))) => address.is_loopback(),
            Ok(Some(Host::Domain(name))) => name == "localhost",
            _ => false,
        }
    }
}

/// The base of an interface. The declaration is no place for keys.
struct ModelUrl;

impl Text<String> for ModelUrl {
    const ACCEPTED: &'static str = "a URL with https, or http to this host, without user, query and fragment, such as http://127.0.0.1:11434/v1";
    const PATTERN: &'static str = "^https?://[!-\"$->A-~]+$";

    fn read(text: &str) -> Result<String, Rejected> {
        let url = Url::parse(text).map_err(|error| Rejected {
            reason: Some(error.to_string()),
            // What is no URL may be a key in the wrong place.
            secret: !text.contains("://"),
            ..Rejected::default()
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Rejected {
                secret: true,
                ..Rejected::because("it contains a user or a password")
            });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Rejected {
                secret: true,
                ..Rejected::because("it has a query or a fragment, where keys may be")
            });
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Rejected::because("its scheme is neither http nor https"));
        }
        let base = url.as_str().trim_end_matches('/');
        match base.strip_suffix("/chat/completions") {
            Some(base) => Err(Rejected::hint(format!("did you mean {base}?"))),
            None => Ok(base.to_owned()),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

/// The name of a model, which is whatever its server says.
struct ModelName;

impl Text<String> for ModelName {
    const ACCEPTED: &'static str = "the name of a model, 1 to 200 characters without spaces around";
    const PATTERN: &'static str = r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]{0,198}[^\s\u0000-\u001f\u007f-\u009f])?$";

    fn read(text: &str) -> Result<String, Rejected> {
        let fits = (1..=200).contains(&text.chars().count()) && text.trim() == text;
        match fits && !text.chars().any(char::is_control) {
            true => Ok(text.to_owned()),
            false => Err(Rejected::default()),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<String, Rejected> {
        <ModelUrl as Text<String>>::read(text)
    }

    #[test]
    fn a_base_is_written_in_one_way() {
        for (text, base) in [
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
            ("https://API.example.org", "https://api.example.org"),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ] {
            assert_eq!(url(text).unwrap(), base, "{text}");
        }
        let hint = url("https://a.example/v1/chat/completions").unwrap_err();
        assert_eq!(
            hint.hint.as_deref(),
            Some("did you mean https://a.example/v1?")
        );
    }

    #[test]
    fn what_may_be_a_key_is_not_repeated() {
        for text in [
            "sk-123",
            "https://u:p@a/",
            "https://a/?key=1",
            "https://a/#1",
        ] {
            assert!(url(text).unwrap_err().secret, "{text}");
        }
        assert!(url("ftp://a/").is_err());
    }
}
