//! The chat's model: in the clear only on this host, and with a budget for a day that one message fits into.

use url::Url;

use crate::chat::Chat;
use crate::problem::DocumentPath;

use super::Check;

pub(super) fn check(chat: &Chat, check: &mut Check<'_>) {
    let Some(model) = &chat.model else { return };
    let path = DocumentPath::of(["chat", "model"]);
    if !check.intact(&path) {
        return;
    }
    let plain = Url::parse(&model.url).is_ok_and(|url| url.scheme() == "http");
    if plain && !model.allow_http && !model.is_local() {
        check.report(
            path.key("url"),
            "http to another host",
            "https, or http to a loopback address or localhost",
            "write `allowHttp: true` if the way there is protected otherwise".to_owned(),
        );
    }
    if let Some(daily) = model.daily_tokens
        && daily < model.max_tokens
    {
        check.report(
            path.key("dailyTokens"),
            daily.to_string(),
            format!("at least what one message may cost: {}", model.max_tokens),
            "write a smaller `maxTokens` beside it".to_owned(),
        );
    }
}
