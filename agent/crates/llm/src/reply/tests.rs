//! The differences between servers that are known.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sse::Decoder;

fn reply(chunks: &[Value]) -> Result<Reply, Fault> {
    let mut collector = Collector::default();
    let mut heard = String::new();
    let mut listener = |piece| {
        if let Piece::Text(text) = piece {
            heard.push_str(&text);
        }
    };
    for chunk in chunks {
        collector.take(chunk, &mut listener)?;
    }
    let reply = collector.finish(true, 30, &mut listener)?;
    assert_eq!(heard, reply.text);
    Ok(reply)
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

fn calls(pieces: &[Value]) -> Vec<(String, String, String)> {
    let chunks: Vec<_> = pieces
        .iter()
        .map(|piece| delta(json!({ "tool_calls": [piece] })))
        .collect();
    let calls = reply(&chunks).unwrap().calls.into_iter();
    calls
        .map(|call| (call.id, call.name, call.arguments))
        .collect()
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.into(), name.into(), arguments.into())
}

#[test]
fn parallel_calls_come_in_pieces() {
    let pieces = [
        json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "one", "arguments": "" } }),
        json!({ "index": 1, "id": "b", "type": "function", "function": { "name": "two", "arguments": "{" } }),
        json!({ "index": 0, "function": { "arguments": "{\"x\":" } }),
        json!({ "index": 1, "function": { "arguments": "}" } }),
        json!({ "index": 0, "function": { "arguments": "1}" } }),
    ];
    assert_eq!(
        calls(&pieces),
        [call("a", "one", "{\"x\":1}"), call("b", "two", "{}")]
    );
}

#[test]
fn calls_need_no_index_and_no_id() {
    let whole = |name: &str| json!({ "function": { "name": name, "arguments": { "x": 1 } } });
    let expected = [
        call("call00000", "one", "{\"x\":1}"),
        call("call00001", "two", "{\"x\":1}"),
    ];
    assert_eq!(calls(&[whole("one"), whole("two")]), expected);
    // All with the index 0, told apart by their ids.
    let whole = |id: &str| json!({ "index": 0, "id": id, "function": { "name": "one", "arguments": "{}" } });
    let expected = [call("a", "one", "{}"), call("b", "one", "{}")];
    assert_eq!(calls(&[whole("a"), whole("b")]), expected);
    // Pieces that only the id holds together, and pieces that nothing does.
    for id in [json!("a"), Value::Null] {
        let pieces = [
            json!({ "id": "a", "function": { "name": "one", "arguments": "{\"x\"" } }),
            json!({ "id": id, "function": { "name": null, "arguments": ":1}" } }),
        ];
        assert_eq!(calls(&pieces), [call("a", "one", "{\"x\":1}")]);
    }
}

#[test]
fn ids_and_names_may_be_repeated() {
    let piece = |arguments: &str| json!({ "index": 0, "id": "a", "function": { "name": "one", "arguments": arguments } });
    assert_eq!(calls(&[piece("{"), piece("}")]), [call("a", "one", "{}")]);
    // Another id with each piece, and the name with the first alone.
    let pieces = [
        json!({ "index": 0, "id": "a", "function": { "name": "one", "arguments": "{" } }),
        json!({ "index": 0, "id": "b", "function": { "arguments": "}" } }),
    ];
    assert_eq!(calls(&pieces), [call("a", "one", "{}")]);
    let old = reply(&[delta(
        json!({ "function_call": { "name": "one", "arguments": "{}" } }),
    )]);
    assert_eq!(old.unwrap().calls[0].name, "one");
}

#[test]
fn text_comes_in_several_shapes() {
    let chunks = [
        delta(json!({ "role": "assistant", "content": null, "reasoning_content": "hm" })),
        delta(json!({ "content": "<think>so</think>\nOne" })),
        json!({ "choices": [{ "index": 1, "delta": { "content": "no" } }, { "index": 0, "delta": { "content": " two" } }] }),
        delta(json!({ "content": [{ "type": "text", "text": " three" }] })),
        json!({ "choices": [{ "message": { "content": " four" }, "finish_reason": "length" }] }),
        json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 5 } }),
        json!({ "type": "ping" }),
    ];
    let reply = reply(&chunks).unwrap();
    assert_eq!(reply.text, "One two three four");
    assert_eq!(reply.finish, Finish::Length);
    assert_eq!(
        reply.usage,
        Usage {
            prompt: 7,
            completion: 5,
            estimated: false
        }
    );
}

#[test]
fn without_usage_it_is_estimated() {
    let reply = reply(&[delta(json!({ "content": "x".repeat(30) }))]).unwrap();
    assert_eq!(
        reply.usage,
        Usage {
            prompt: 30,
            completion: 10,
            estimated: true
        }
    );
}

#[test]
fn a_count_of_nothing_is_not_believed_where_there_was_something() {
    let text = delta(json!({ "content": "x".repeat(30) }));
    let usage = |prompt: u64, completion: u64, chunks: &[Value]| {
        let count = json!({ "prompt_tokens": prompt, "completion_tokens": completion });
        let said = json!({ "choices": [], "usage": count });
        let reply = reply(&[chunks, &[said]].concat()).unwrap();
        (reply.usage.total(), reply.usage.estimated)
    };
    let text = std::slice::from_ref(&text);
    assert_eq!(usage(0, 0, text), (40, true));
    assert_eq!(usage(7, 0, text), (40, true));
    assert_eq!(usage(0, 5, text), (40, true));
    assert_eq!(usage(7, 5, text), (12, false));
    // Who says nothing has used nothing for it.
    let nothing = delta(json!({ "content": "" }));
    assert_eq!(usage(7, 0, &[nothing]), (7, false));
}

#[test]
fn what_is_wrong_is_said_in_several_ways() {
    for error in [
        json!({ "error": { "message": "no", "type": "x" } }),
        json!({ "error": "no" }),
        json!({ "object": "error", "message": "no" }),
    ] {
        assert_eq!(reply(&[error]), Err(Fault::Complaint("no".to_owned())));
    }
}

#[test]
fn too_much_is_not_taken() {
    let text = delta(json!({ "content": "x".repeat(bounds::TEXT / 2) }));
    let thought = delta(json!({ "reasoning": "x".repeat(bounds::TEXT / 2) }));
    assert!(reply(&[text.clone(), thought.clone()]).is_ok());
    let more = delta(json!({ "content": "x" }));
    assert!(matches!(
        reply(&[text, thought, more]),
        Err(Fault::TooMuch(..))
    ));
    let long = json!({ "index": 0, "function": { "name": "a", "arguments": "x".repeat(bounds::ARGUMENTS + 1) } });
    let many: Vec<_> = (0..=bounds::CALLS)
        .map(|index| json!({ "index": index, "function": { "name": "a" } }))
        .collect();
    let name = json!({ "function": { "name": "x".repeat(bounds::NAME + 1) } });
    for calls in [vec![long], many, vec![name]] {
        let result = reply(&[delta(json!({ "tool_calls": calls }))]);
        assert!(matches!(result, Err(Fault::TooMuch(..))), "{result:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = ["", "a", "index", "stop", "<think>", "0"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    let keys = [
        "choices",
        "delta",
        "message",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "index",
        "id",
        "usage",
        "prompt_tokens",
        "error",
        "finish_reason",
        "reasoning",
        "text",
    ];
    leaf.prop_recursive(6, 60, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_breaks_it(chunks in prop::collection::vec(any_json(), 0..6)) {
        let _ = reply(&chunks);
    }

    #[test]
    fn a_stream_may_be_cut_at_every_byte(at in any::<prop::sample::Index>(), more in any::<prop::sample::Index>()) {
        let chunks = [
            delta(json!({ "content": "Größe: " })),
            delta(json!({ "tool_calls": [{ "index": 0, "id": "a", "function": { "name": "one", "arguments": "{\"ä\"" } }] })),
            delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": ":\"\\u00fc\"}" } }], "content": "1 €" })),
        ];
        let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
        let (at, more) = (at.index(stream.len()), more.index(stream.len()));
        let (first, last) = (at.min(more), at.max(more));
        let mut decoder = Decoder::default();
        let mut read = Vec::new();
        for piece in [&stream.as_bytes()[..first], &stream.as_bytes()[first..last], &stream.as_bytes()[last..]] {
            for event in decoder.feed(piece).unwrap() {
                read.push(serde_json::from_str(&event.data).unwrap());
            }
        }
        prop_assert_eq!(reply(&read), reply(&chunks));
    }
}
