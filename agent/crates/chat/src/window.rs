//! Runs that are taken back unless somebody confirms them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{self, Order};
use crate::chat::Chat;
use crate::conversation::Conversation;
use crate::event::{Body, Decision};
use crate::speaker::Speaker;

/// How often it is looked whether a run still waits.
const PACE: Duration = Duration::from_secs(2);
/// How much later than its end a run has been taken back.
const GRACE: Duration = Duration::from_secs(60);

/// Tells of a run that waits, if the answer of a tool is about one, and of its end.
pub(crate) fn open(
    chat: &Arc<Chat>,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    answer: &Value,
) {
    let (Some(run), Some(deadline)) = (answer["run"].as_str(), answer["deadline_ms"].as_i64())
    else {
        return;
    };
    let left = deadline.saturating_sub(Timestamp::now().as_millisecond());
    let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
    let end = Instant::now() + left;
    conversation.set_window(Some((run.to_owned(), end)));
    tell(conversation, run, left.as_secs(), None);
    let (chat, conversation) = (Arc::clone(chat), Arc::clone(conversation));
    let (speaker, run) = (speaker.clone(), run.to_owned());
    tokio::spawn(async move { watch(&chat, &conversation, &speaker, &run, end).await });
}

/// Confirms the run that waits.
pub(crate) fn confirm(chat: &Arc<Chat>, conversation: &Arc<Conversation>, speaker: &Speaker) {
    let (chat, conversation) = (Arc::clone(chat), Arc::clone(conversation));
    let speaker = speaker.clone();
    tokio::spawn(async move {
        let order = Order {
            tool: "state_confirm".to_owned(),
            title: "Confirm".to_owned(),
            effect: api::Effect::Write,
            arguments: json!({}),
            shown: json!({}),
            plan: None,
            in_reply_to: None,
        };
        let ended = call::perform(&chat, &conversation, &speaker, order).await;
        if let Ok(answer) = &ended.result {
            let run = answer["run"].as_str().unwrap_or_default();
            settle(&conversation, run, Decision::Confirmed);
        }
    });
}

async fn watch(
    chat: &Chat,
    conversation: &Conversation,
    speaker: &Speaker,
    run: &str,
    end: Instant,
) {
    while conversation.window().as_deref() == Some(run) {
        tokio::time::sleep(PACE).await;
        let status = chat
            .client
            .call(&speaker.call("state_status", json!({})), |_| {})
            .await;
        match status {
            Ok(status) if status["awaiting"]["run"] == run => {}
            Ok(_) => {
                if let Some(decision) = how_it_ended(chat, speaker, run).await {
                    return settle(conversation, run, decision);
                }
            }
            Err(error) => log::debug!("whether {run} still waits is not known: {error}"),
        }
        if Instant::now() > end + GRACE {
            // The daemon is away, and looks after it at its next start.
            return settle(conversation, run, Decision::Reverted);
        }
    }
}

/// What the ledger says of a run that waits no more; nothing while it is still being kept or taken back.
async fn how_it_ended(chat: &Chat, speaker: &Speaker, run: &str) -> Option<Decision> {
    let newest = json!({ "run": run, "limit": 20 });
    let log = chat
        .client
        .call(&speaker.call("ledger_log", newest), |_| {})
        .await
        .ok()?;
    let entries = log["entries"].as_array().into_iter().flatten();
    entries
        .filter_map(|entry| entry["operation"].as_str())
        .find_map(|operation| match operation {
            "apply_end" => Some(Decision::Confirmed),
            "apply_rolled_back" => Some(Decision::Reverted),
            _ => None,
        })
}

/// Tells what became of a run, once.
fn settle(conversation: &Conversation, run: &str, decision: Decision) {
    if conversation.window().as_deref() == Some(run) {
        conversation.set_window(None);
        tell(conversation, run, 0, Some(decision));
    }
}

fn tell(conversation: &Conversation, run: &str, seconds_left: u64, decision: Option<Decision>) {
    let content = match decision {
        None => {
            format!("The changes are undone in {seconds_left} seconds unless they are confirmed.")
        }
        Some(Decision::Confirmed) => "The changes stay.".to_owned(),
        Some(_) => "The changes were undone: they were not confirmed.".to_owned(),
    };
    let body = Body::Window {
        seconds_left,
        run: run.to_owned(),
        decision,
    };
    conversation.tell(&body, &content, &[]);
}
