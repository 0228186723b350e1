//! Runs that are taken back unless somebody confirms them.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod daemon;

use std::sync::Arc;
use std::time::Duration;

use chat::{Chat, Seat};
use daemon::{Daemon, approve, of, sit};
use serde_json::{Value, json};

/// A run that waits for so many milliseconds.
async fn open(window: i64) -> (Daemon, Arc<Chat>, Seat, Value) {
    let daemon = Daemon::new();
    daemon.say.lock().unwrap().window = Some(window);
    let chat = daemon.chat();
    let mut seat = sit(&chat, "alice");
    seat.hear("start container web-01");
    let plan = of(&mut seat, "plan").await;
    seat.hear(&approve(&plan, None));
    let window = of(&mut seat, "window").await;
    assert_eq!(window["run"], "r1");
    assert!(window["decision"].is_null(), "{window:#}");
    (daemon, chat, seat, window)
}

#[tokio::test]
async fn a_window_counts_down_and_who_comes_later_sees_it() {
    let (_daemon, chat, _seat, window) = open(600_000).await;
    let left = window["seconds_left"].as_u64().unwrap();
    assert!((1..=600).contains(&left), "{left}");
    let told = window["content"].as_str().unwrap();
    assert!(told.contains(&left.to_string()), "{told}");
    let mut late = sit(&chat, "alice");
    assert_eq!(of(&mut late, "hello").await["window"]["run"], "r1");
    // It is nobody else's.
    let mut bob = sit(&chat, "bob");
    assert!(of(&mut bob, "hello").await["window"].is_null());
}

#[tokio::test]
async fn it_is_confirmed_by_its_button_or_by_a_sentence() {
    for text in [r#"{"type":"confirm"}"#, "yes"] {
        let (daemon, chat, mut seat, _) = open(600_000).await;
        seat.hear(text);
        let end = of(&mut seat, "window").await;
        assert_eq!(
            (&end["decision"], &end["seconds_left"]),
            (&json!("confirmed"), &json!(0))
        );
        assert_eq!(daemon.say.lock().unwrap().ended, Some("apply_end"));
        let mut late = sit(&chat, "alice");
        assert!(of(&mut late, "hello").await["window"].is_null());
    }
}

#[tokio::test]
async fn what_was_confirmed_elsewhere_stays_and_what_nobody_confirmed_was_undone() {
    for (ended, decision) in [
        ("apply_end", "confirmed"),
        ("apply_rolled_back", "reverted"),
    ] {
        let (daemon, _chat, mut seat, _) = open(600_000).await;
        // It waits no more, and is still being kept or taken back: nothing is told yet.
        daemon.say.lock().unwrap().waits = false;
        let twice = async {
            while daemon.calls_of("ledger_log") < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), twice)
            .await
            .unwrap();
        daemon.say.lock().unwrap().ended = Some(ended);
        let end = of(&mut seat, "window").await;
        assert_eq!(end["decision"], decision);
        // To confirm what is over confirms nothing.
        seat.hear(r#"{"type":"confirm"}"#);
        let failed = async { while of(&mut seat, "tool").await["status"] != "failed" {} };
        failed.await;
    }
}
