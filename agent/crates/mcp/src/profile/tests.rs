use std::sync::Mutex;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tools::Effect;

use super::*;
use crate::backend::{Answer, Fault, Hint, Output, Request, Speaker, ToolInfo};

/// The built-in tools' names, that answer with their name and remember who was called.
#[derive(Default)]
struct Echo {
    called: Mutex<Vec<String>>,
}

fn info(tool: &tools::Tool) -> ToolInfo {
    let domain = serde_json::to_value(tool.domain).unwrap();
    let object = |schema: Value| Arc::new(schema.as_object().unwrap().clone());
    ToolInfo {
        name: tool.name.to_owned(),
        title: tool.title.to_owned(),
        description: tool.description.to_owned(),
        input: object(tool.input()),
        output: Some(object(tool.output())),
        effect: tool.effect,
        hint: Hint::default(),
        domain: domain.as_str().unwrap().to_owned(),
    }
}

impl Backend for Echo {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        let mut all: Vec<_> = tools::builtin::all().iter().map(info).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Box::pin(async { Ok(Arc::new(all)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        self.called.lock().unwrap().push(request.name.to_owned());
        Box::pin(async move {
            match (request.name, &request.plan) {
                ("container_destroy", None) => Err(Fault::Unconfirmed {
                    text: "confirm it".to_owned(),
                    plan: "cafe".to_owned(),
                }),
                ("container_start", _) => Err(Fault::Refused("no".to_owned())),
                ("file_read", _) => Ok(json!("x".repeat(50_000)).into()),
                (name, _) => Ok(json!({ "name": name }).into()),
            }
        })
    }
}

async fn call(backend: &dyn Backend, name: &str, arguments: Value) -> Result<Output, Fault> {
    let request = Request {
        speaker: &Speaker::default(),
        name,
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        dry_run: false,
        plan: None,
        listener: &|_| {},
        cancel: CancellationToken::new(),
    };
    backend.call(request).await
}

async fn names(backend: &dyn Backend) -> Vec<String> {
    let all = backend.tools(&Speaker::default()).await.unwrap();
    all.iter().map(|tool| tool.name.clone()).collect()
}

fn compact() -> (Arc<Echo>, Arc<dyn Backend>) {
    let echo = Arc::new(Echo::default());
    let backend = select(
        Arc::clone(&echo) as _,
        Selection::Profile(Profile::Full),
        false,
    );
    (echo, backend)
}

#[tokio::test]
async fn a_profile_is_small_and_keeps_its_word() {
    for profile in Profile::ALL {
        let echo = Arc::new(Echo::default());
        // Without the cut, so that nothing is left out unseen.
        let picked = Picked::new(echo, Selection::Profile(profile), false);
        let all = picked.tools(&Speaker::default()).await.unwrap();
        assert!(!all.is_empty(), "{profile}");
        if !matches!(profile, Profile::Full | Profile::Compact) {
            assert!(all.len() <= MOST, "{profile} has {} tools", all.len());
        }
        if matches!(profile, Profile::Minimal | Profile::Safe) {
            assert!(
                all.iter().all(|tool| tool.effect == Effect::Read),
                "{profile}"
            );
        }
    }
}

#[tokio::test]
async fn a_tool_outside_of_the_profile_is_not_called() {
    let echo = Arc::new(Echo::default());
    let safe = select(
        Arc::clone(&echo) as _,
        Selection::Profile(Profile::Safe),
        false,
    );
    assert!(names(&*safe).await.contains(&"container_list".to_owned()));
    let refused = call(&*safe, "container_create", json!({})).await;
    assert!(matches!(refused, Err(Fault::NotFound(_))), "{refused:?}");
    assert!(echo.called.lock().unwrap().is_empty());
}

#[tokio::test]
async fn groups_are_domains() {
    let groups = Selection::Groups(vec!["ledger".to_owned(), "journal".to_owned()]);
    let picked = select(Arc::new(Echo::default()), groups, false);
    let names = names(&*picked).await;
    assert_eq!(
        names,
        [
            "journal_read",
            "ledger_checkpoint",
            "ledger_consistency",
            "ledger_log",
            "ledger_new_origin",
            "ledger_prove",
            "ledger_show",
            "ledger_verify",
            "search",
            "search_index"
        ]
    );
}

/// The built-in tools and those of other servers, of which every second one only reads.
struct WithUpstreams(Echo);

impl Backend for WithUpstreams {
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(async move {
            let own = self.0.tools(speaker).await?;
            let mut foreign = own[0].clone();
            foreign.hint.upstream = true;
            let foreign = (0..MOST).map(|number| ToolInfo {
                name: match number {
                    0 => "upstream_status".to_owned(),
                    number => format!("files_t{number}"),
                },
                effect: [Effect::Read, Effect::Write][number % 2],
                ..foreign.clone()
            });
            Ok(Arc::new(foreign.chain(own.iter().cloned()).collect()))
        })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        self.0.call(request)
    }
}

#[tokio::test]
async fn a_profile_has_the_tools_of_other_servers_as_far_as_there_is_room() {
    for profile in Profile::ALL {
        let backend = || Arc::new(WithUpstreams(Echo::default()));
        let selection = || Selection::Profile(profile);
        let own = Picked::new(Arc::new(Echo::default()), selection(), false);
        let own = names(&own).await;
        let all = names(&Picked::new(backend(), selection(), false)).await;
        let foreign = match profile {
            Profile::Minimal => 0,
            Profile::Safe => MOST / 2,
            _ => MOST,
        };
        assert_eq!(all.len(), own.len() + foreign, "{profile}");
        if matches!(profile, Profile::Full | Profile::Compact) {
            continue;
        }
        let bounded = Picked::new(backend(), selection(), true);
        let kept = names(&bounded).await;
        assert_eq!(kept, all[..kept.len()], "{profile}");
        assert!(kept.starts_with(&own), "{profile}");
        if kept.contains(&"upstream_status".to_owned()) {
            let status = call(&bounded, "upstream_status", json!({})).await.unwrap();
            let cut = &status.structured.unwrap()["not_in_profile"];
            assert_eq!(*cut, json!(all[kept.len()..]), "{profile}");
        }
    }
}

#[tokio::test]
async fn compact_mode_is_four_tools_that_find_the_others() {
    let (_, compact) = compact();
    let four = ["tool_search", "tool_describe", "tool_execute", "tool_batch"];
    assert_eq!(names(&*compact).await, four);
    let found = call(
        &*compact,
        "tool_search",
        json!({ "query": "make a new container" }),
    )
    .await;
    let found = found.unwrap().structured.unwrap();
    let names: Vec<_> = found["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert!(names.contains(&&json!("container_create")), "{found}");
    let described = call(
        &*compact,
        "tool_describe",
        json!({ "name": "container_create" }),
    )
    .await;
    let described = described.unwrap().structured.unwrap();
    assert!(described["input_schema"]["properties"]["template"].is_object());
    let nothing = call(&*compact, "tool_describe", json!({ "name": "nope" })).await;
    assert!(matches!(nothing, Err(Fault::NotFound(_))));
}

#[tokio::test]
async fn compact_mode_does_not_confirm() {
    let (echo, compact) = compact();
    let asked = json!({ "name": "container_destroy", "arguments": { "name": "web-01" } });
    let unconfirmed = call(&*compact, "tool_execute", asked).await;
    assert!(
        matches!(unconfirmed, Err(Fault::Unconfirmed { .. })),
        "{unconfirmed:?}"
    );
    for smuggled in ["plan", "dry_run", "confirm"] {
        let asked = json!({ "name": "container_destroy", "arguments": {}, smuggled: "cafe" });
        let invalid = call(&*compact, "tool_execute", asked).await;
        assert!(matches!(invalid, Err(Fault::Invalid(_))), "{invalid:?}");
    }
    let batch = json!({ "calls": [{ "name": "state_status" }, { "name": "container_destroy" }] });
    let refused = call(&*compact, "tool_batch", batch).await;
    assert!(matches!(refused, Err(Fault::Refused(_))), "{refused:?}");
    assert_eq!(*echo.called.lock().unwrap(), ["container_destroy"]);
}

#[tokio::test]
async fn a_batch_that_changes_ends_at_the_first_failure() {
    let (echo, compact) = compact();
    let calls = ["container_stop", "container_start", "container_create"];
    let calls = calls.map(|name| json!({ "name": name }));
    let batch = call(&*compact, "tool_batch", json!({ "calls": calls }))
        .await
        .unwrap();
    let results = batch.structured.unwrap()["results"].take();
    assert_eq!(results.as_array().unwrap().len(), 2, "{results}");
    assert_eq!(results[1]["error"]["code"], "refused");
    assert_eq!(
        *echo.called.lock().unwrap(),
        ["container_stop", "container_start"]
    );
}

#[tokio::test]
async fn a_batch_has_bounds() {
    let (_, compact) = compact();
    for count in [0, 21] {
        let calls = vec![json!({ "name": "state_status" }); count];
        let batch = call(&*compact, "tool_batch", json!({ "calls": calls })).await;
        assert!(matches!(batch, Err(Fault::Invalid(_))));
    }
    let calls = json!([{ "name": "file_read" }, { "name": "state_status" }]);
    let batch = call(&*compact, "tool_batch", json!({ "calls": calls }))
        .await
        .unwrap();
    let results = batch.structured.unwrap()["results"].take();
    assert_eq!(results[0]["error"]["code"], "too-large");
    assert_eq!(results[1]["result"], json!({ "name": "state_status" }));
}

#[test]
fn no_built_in_tool_has_an_argument_that_is_ours() {
    for tool in tools::builtin::all() {
        let input = tool.input();
        let none = Map::new();
        let properties = input["properties"].as_object().unwrap_or(&none);
        assert!(!properties.contains_key("dry_run"), "{}", tool.name);
        // Older clients take objects only.
        assert_eq!(tool.output()["type"], "object", "{}", tool.name);
    }
}
