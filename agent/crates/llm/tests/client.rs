//! The client against a server that misbehaves.
#![allow(clippy::unwrap_used)]

mod fake;

use std::time::Duration;

use fake::{Answer, Fake, calls, chunk, says};
use llm::{Client, Error, Message, Piece, Probe, Reply, Request, Settings, ToolDefinition};
use serde_json::json;

fn settings(fake: &Fake) -> Settings {
    Settings {
        whole: Duration::from_secs(20),
        idle: Duration::from_secs(20),
        ..Settings::new(&fake.url, "m")
    }
}

fn question() -> Request {
    Request {
        messages: vec![Message::System("Be short.".to_owned()), Message::user("hi")],
        tools: vec![ToolDefinition {
            name: "ping".to_owned(),
            description: "Pings.".to_owned(),
            parameters: json!({ "type": "object" }),
        }],
        max_tokens: Some(64),
    }
}

async fn ask(client: &Client) -> (Result<Reply, Error>, Vec<String>) {
    let mut heard = Vec::new();
    let mut listener = |piece| {
        if let Piece::Text(text) = piece {
            heard.push(text);
        }
    };
    let reply = client.complete(&question(), &mut listener).await;
    (reply, heard)
}

/// What comes of one answer.
async fn of(answer: Answer) -> Result<Reply, Error> {
    let fake = Fake::answering(vec![answer]).await;
    ask(&Client::new(settings(&fake)).unwrap()).await.0
}

#[tokio::test]
async fn an_answer_is_streamed() {
    let pieces = vec![
        b": comment\n\n".to_vec(),
        chunk(json!({ "content": "Hel" }), None),
        chunk(json!({ "content": "lo" }), Some("stop")),
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
            .to_vec(),
        b"data: [DONE]\n\n".to_vec(),
    ];
    let fake = Fake::answering(vec![Answer::Pieces(pieces)]).await;
    let (reply, heard) = ask(&Client::new(settings(&fake)).unwrap()).await;
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.usage.total()), ("Hello", 11));
    assert_eq!(heard, ["Hel", "lo"]);
    let asked = &fake.asked()[0];
    assert!(
        asked.head.starts_with("post /v1/chat/completions http/1.1"),
        "{}",
        asked.head
    );
    assert!(!asked.head.contains("authorization"));
    assert_eq!(asked.body["messages"][1]["content"], "hi");
    assert_eq!(asked.body["tools"][0]["function"]["name"], "ping");
    assert_eq!(asked.body["max_tokens"], 64);
}

#[tokio::test]
async fn tools_are_called() {
    let reply = of(calls(&[
        ("ping", json!({ "host": "a" })),
        ("ping", json!({})),
    ]))
    .await
    .unwrap();
    let arguments: Vec<_> = reply
        .calls
        .iter()
        .map(|call| call.parsed().unwrap())
        .collect();
    assert_eq!(arguments[0]["host"], "a");
    assert_eq!((reply.calls.len(), arguments[1].len()), (2, 0));
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let whole =
        json!({ "choices": [{ "message": { "content": "Hello" }, "finish_reason": "stop" }] });
    let body = whole.to_string().into_bytes();
    let reply = of(Answer::Http(
        200,
        "content-type: application/json\r\n",
        body,
    ))
    .await;
    assert_eq!(reply.unwrap().text, "Hello");
}

#[tokio::test]
async fn a_finished_stream_needs_no_mark_and_nothing_behind_the_mark_is_waited_for() {
    let bare = [
        chunk(json!({ "content": "a" }), None),
        chunk(json!({}), Some("stop")),
    ]
    .concat();
    assert_eq!(
        of(Answer::Pieces(vec![bare.clone()])).await.unwrap().text,
        "a"
    );
    let stall = [&bare[..], b"data: [DONE]\n\n"].concat();
    assert_eq!(of(Answer::Stall(stall)).await.unwrap().text, "a");
}

#[tokio::test]
async fn bad_answers_are_errors() {
    let half = chunk(json!({ "content": "a" }), None);
    for (answer, expected) in [
        (
            Answer::Pieces(vec![b"data: {\"choices\": [}\n\n".to_vec()]),
            "cannot be read",
        ),
        (Answer::Http(200, "", b"{}".to_vec()), "no `choices`"),
        (
            Answer::Http(200, "", b"not json".to_vec()),
            "ended in the middle",
        ),
        (Answer::Http(200, "", Vec::new()), "ended in the middle"),
        (
            Answer::Http(
                200,
                "content-type: text/html\r\n",
                b"\n<!doctype html>".to_vec(),
            ),
            "/v1",
        ),
        (Answer::Pieces(vec![half.clone()]), "ended in the middle"),
        (Answer::Cut(half.clone()), "ended in the middle"),
        (
            Answer::Pieces(vec![
                half,
                b"data: {\"error\":{\"message\":\"out of\\u001b memory\"}}\n\n".to_vec(),
            ]),
            "out of memory",
        ),
        (Answer::Nothing, "cannot be reached"),
        (
            Answer::Http(
                404,
                "",
                br#"{"error":{"message":"model m not found"}}"#.to_vec(),
            ),
            "model m not found",
        ),
        (
            Answer::Http(422, "", br#"{"detail":[{"msg":"bad"}]}"#.to_vec()),
            "bad",
        ),
        (Answer::Http(400, "", Vec::new()), "does not say why"),
        (Answer::Http(400, "", vec![b'x'; 5000]), "…"),
    ] {
        let error = of(answer).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
    }
}

#[tokio::test]
async fn endless_answers_are_given_up() {
    let text = chunk(json!({ "content": "more and more " }), None);
    let thoughts = chunk(json!({ "reasoning": "hm ".repeat(100) }), None);
    let arguments = json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "ping", "arguments": "x".repeat(1000) } }] });
    let storm = json!({ "tool_calls": [{ "function": { "name": "ping", "arguments": "{}" } }] });
    for again in [
        text,
        thoughts,
        chunk(arguments, None),
        chunk(storm, None),
        b"no end of line ".to_vec(),
        b"data: more lines\n".to_vec(),
        b": comment\n\n".repeat(100),
        b" ".repeat(1000),
    ] {
        let error = of(Answer::Endless(Vec::new(), again)).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
    let error = of(Answer::Http(400, "", vec![b'x'; 3 << 20]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_stalls_is_not_waited_for() {
    for (idle, whole) in [(50, 20_000), (20_000, 50)] {
        let fake =
            Fake::answering(vec![Answer::Stall(chunk(json!({ "content": "a" }), None))]).await;
        let settings = Settings {
            idle: Duration::from_millis(idle),
            whole: Duration::from_millis(whole),
            ..settings(&fake)
        };
        let (reply, heard) = ask(&Client::new(settings).unwrap()).await;
        assert!(matches!(reply, Err(Error::TimedOut { .. })), "{reply:?}");
        assert!(heard.len() <= 1);
    }
}

#[tokio::test]
async fn redirects_are_refused() {
    let fake = Fake::answering(vec![says("stolen")]).await;
    let elsewhere: &'static str =
        format!("location: {}/chat/completions?x=secret\r\n", fake.url).leak();
    for status in [301, 302, 307, 308] {
        let error = of(Answer::Http(status, elsewhere, Vec::new()))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Redirected { to: Some(_), .. }),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"));
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_busy_server_is_asked_again_within_reason() {
    let busy = |lines| Answer::Http(429, lines, br#"{"error":"slow down"}"#.to_vec());
    let fake = Fake::answering(vec![
        busy("retry-after: 0\r\n"),
        Answer::Http(503, "retry-after-ms: 1\r\n", Vec::new()),
        says("now"),
    ])
    .await;
    let (reply, _) = ask(&Client::new(settings(&fake)).unwrap()).await;
    assert_eq!(
        (reply.unwrap().text.as_str(), fake.asked().len()),
        ("now", 3)
    );
    // Longer than anybody waits, and again and again.
    for (answer, times) in [
        (busy("retry-after: 3600\r\n"), 1),
        (busy("retry-after: 0\r\n"), 3),
    ] {
        let fake = Fake::answering(vec![answer]).await;
        let (reply, _) = ask(&Client::new(settings(&fake)).unwrap()).await;
        let error = reply.unwrap_err();
        assert!(
            error.is_passing() && error.to_string().contains("slow down"),
            "{error}"
        );
        assert_eq!(fake.asked().len(), times);
    }
}

#[tokio::test]
async fn it_learns_what_a_server_does_not_take() {
    let refuses = |body: &serde_json::Value| {
        let no = |text: &str| {
            let body = json!({ "error": { "message": format!("Unsupported parameter: {text}") } });
            Answer::Http(400, "", body.to_string().into_bytes())
        };
        match body {
            body if !body["max_tokens"].is_null() => {
                no("'max_tokens'. Use 'max_completion_tokens' instead.")
            }
            body if !body["stream_options"].is_null() => no("stream_options"),
            _ => says("yes"),
        }
    };
    let fake = Fake::answering(vec![Answer::Of(refuses)]).await;
    let client = Client::new(settings(&fake)).unwrap();
    assert_eq!(ask(&client).await.0.unwrap().text, "yes");
    assert_eq!(ask(&client).await.0.unwrap().text, "yes");
    let asked = fake.asked();
    assert_eq!(asked.len(), 4, "it remembers");
    assert_eq!(asked[3].body["max_completion_tokens"], 64);
    // A server that goes on complaining is not asked for ever.
    let complaint = br#"{"error":"max_completion_tokens stream_options"}"#.to_vec();
    let fake = Fake::answering(vec![Answer::Http(400, "", complaint)]).await;
    assert!(ask(&Client::new(settings(&fake)).unwrap()).await.0.is_err());
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn the_key_goes_to_the_server_and_nowhere_else() {
    const KEY: &str = "sk-very-secret";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let echo = format!(r#"{{"error":{{"message":"wrong key {KEY}"}}}}"#).into_bytes();
    let in_stream = [b"data: ", &echo[..], b"\n\n"].concat();
    let fake = Fake::answering(vec![
        Answer::Http(401, "", echo.clone()),
        Answer::Http(400, "", echo),
        Answer::Pieces(vec![in_stream]),
    ])
    .await;
    let settings = Settings {
        key_file: Some(path.clone()),
        ..settings(&fake)
    };
    let client = Client::new(settings).unwrap();
    for _ in 0..3 {
        let error = ask(&client).await.0.unwrap_err();
        let shown = format!("{error} {error:?} {client:?}");
        assert!(
            shown.contains("wrong key [key]") && !shown.contains(KEY),
            "{shown}"
        );
    }
    assert!(
        fake.asked()[0]
            .head
            .contains(&format!("authorization: bearer {KEY}"))
    );
    // The next use reads the file again.
    std::fs::remove_file(&path).unwrap();
    let error = ask(&client).await.0.unwrap_err();
    assert!(matches!(error, Error::Key { .. }), "{error}");
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test]
async fn a_question_is_taken_back_by_dropping_it() {
    let fake = Fake::answering(vec![Answer::Stall(Vec::new())]).await;
    let client = Client::new(settings(&fake)).unwrap();
    let asked = async {
        while fake.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = ask(&client) => panic!("there is no answer"),
        () = asked => {}
    }
}

#[tokio::test]
async fn a_server_lists_its_models() {
    let list = br#"{"data":[{"id":"b"},{"id":"a"}]}"#.to_vec();
    let fake = Fake::answering(vec![
        Answer::Http(200, "", list),
        Answer::Http(200, "", b"<html>".to_vec()),
        Answer::Http(200, "", b"{}".to_vec()),
    ])
    .await;
    let client = Client::new(settings(&fake)).unwrap();
    assert_eq!(client.models().await.unwrap(), ["a", "b"]);
    assert!(fake.asked()[0].head.starts_with("get /v1/models "));
    assert!(matches!(client.models().await, Err(Error::WebPage { .. })));
    assert!(matches!(client.models().await, Err(Error::Garbled { .. })));
    assert!(Client::new(Settings::new("ftp://a/", "m")).is_err());
    assert!(Client::new(Settings::new("nonsense", "m")).is_err());
}

#[tokio::test]
async fn a_probe_says_what_works() {
    let list = br#"{"data":[{"id":"m:latest"}]}"#.to_vec();
    let fake = Fake::answering(vec![
        Answer::Http(200, "", list),
        calls(&[("ping", json!({ "word": "hello" }))]),
        Answer::Http(404, "", Vec::new()),
        says("hello"),
        Answer::Nothing,
    ])
    .await;
    let client = Client::new(settings(&fake)).unwrap();
    let probe = Probe::of(&client).await;
    assert_eq!(
        (probe.has("m"), probe.has("other")),
        (Some(true), Some(false))
    );
    let answered = probe.answer.unwrap();
    assert!(answered.calls_tools && answered.first <= answered.whole);
    let probe = Probe::of(&client).await;
    assert_eq!(probe.has("m"), None);
    assert!(!probe.answer.unwrap().calls_tools);
    assert!(Probe::of(&client).await.answer.is_err());
}
