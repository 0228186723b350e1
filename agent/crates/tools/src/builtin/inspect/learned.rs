//! What was learned: kept, found, shown, forgotten.

use inspector::{Example, Hit, Inspection, Knowledge, KnowledgeError, Known, Lesson, Name, Taught};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gather::gather;
use super::{MOST_SOURCES, shape};
use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct ToLearn {
    /// The name that it is kept under: letters, digits, `.`, `_`, `-`, at most 64.
    name: String,
    /// What is learned from, as the tool inspect takes it; at most 100.
    #[serde(default)]
    #[schemars(length(max = MOST_SOURCES))]
    sources: Vec<String>,
    /// What the command line has found out itself, instead of sources: `format`, and `examples` with `example` and
    /// `shape` each.
    #[serde(default)]
    lesson: Option<Value>,
    /// A JSON Schema that values have to fit besides what the examples show.
    #[serde(default)]
    rules: Option<Value>,
    /// What it is about, in a sentence, for the search.
    #[serde(default)]
    note: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Learned {
    /// The name.
    name: String,
    /// `learned`, or `unchanged` where all of it was known.
    outcome: &'static str,
    /// The version there is now, counted from 1.
    version: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// The name.
    name: String,
    /// A version that is still kept; the latest if not given.
    #[serde(default)]
    version: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
struct ToForget {
    /// The name.
    name: String,
}

/// What is known under a name.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// The name.
    name: String,
    /// Its version, counted from 1.
    version: i64,
    /// When that was learned (RFC 3339).
    learned: String,
    /// What the examples were.
    format: &'static str,
    /// What it is about.
    note: String,
    /// The JSON Schema that all examples fit.
    schema: Value,
    /// What values have to fit besides; null for nothing.
    rules: Value,
    /// A value to begin with.
    template: Value,
    /// The latest examples: `source`, `sha256`, `bytes`.
    examples: Vec<Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Words {
    /// Words of the name, the note or the keys, or their beginnings; nothing for all that is known.
    #[serde(default)]
    words: String,
    /// How many at most, 1 to 100; 20 if not given.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 100))]
    limit: usize,
}

fn twenty() -> usize {
    20
}

#[derive(Serialize, JsonSchema)]
struct Hits {
    /// What was found, the best first.
    known: Vec<Item>,
}

/// Something that is known.
#[derive(Serialize, JsonSchema)]
struct Item {
    /// Its name.
    name: String,
    /// Its latest version.
    version: i64,
    /// When that was learned (RFC 3339).
    learned: String,
    /// What the examples were.
    format: &'static str,
    /// What it is about.
    note: String,
}

#[derive(Serialize, JsonSchema)]
struct Forgotten {
    /// The name.
    name: String,
    /// `forgotten`.
    outcome: &'static str,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Inspection;
    vec![
        Tool::read(
            domain,
            "inspect_search",
            "Search what was learned",
            "Finds what the inspector has learned, by words of its name, note or keys.",
            search,
        )
.says(&["what was learned?", "search the schemas for systemd", "list known shapes"])
        .example(json!({ "words": "systemd unit" })),
        Tool::read(
            domain,
            "inspect_show",
            "Show what was learned",
            "Gives the JSON Schema, the rules, a template and the examples' digests that are known under a name.",
            show,
        )
.says(&["show the schema os-release", "show the shape os-release"])
        .example(json!({ "name": "os-release" })),
        Tool::write(
            domain,
            "inspect_learn",
            "Learn from examples",
            "Keeps what sources look like under a name, merged with what is known under it, as its next version: types, \
             lengths, formats and the names of keys. Neither the sources nor any text or number of them are kept, only \
             their digests. Viewers see what is kept.",
            preview_learn,
            learn,
        )
.says(&["learn /etc/os-release as os-release", "learn the shape of /etc/os-release as os-release"])
        .example(json!({ "name": "os-release", "sources": ["/etc/os-release"], "note": "What system a host runs" })),
        Tool::destroy(
            domain,
            "inspect_forget",
            "Forget what was learned",
            "Removes a name from what was learned, with all its versions.",
            |call, input: ToForget| preview_forget(call, &input),
            |call, input: ToForget| forget(call, &input),
        )
.says(&["forget the schema os-release", "forget the shape os-release"])
        .example(json!({ "name": "os-release" })),
    ]
}

fn of_knowledge(error: KnowledgeError) -> ToolError {
    match error {
        KnowledgeError::Unknown(_) => ToolError::NotFound(error.to_string()),
        KnowledgeError::Invalid(_) => ToolError::Invalid(error.to_string()),
        other => ToolError::Failed(other.to_string()),
    }
}

fn parsed(name: &str) -> Result<Name, ToolError> {
    name.parse().map_err(of_knowledge)
}

/// What is known under a name, if anything.
fn known(call: &Call<'_>, name: &Name, version: Option<i64>) -> Result<Option<Known>, ToolError> {
    let path = call.site.paths()?.knowledge();
    let Some(knowledge) = Knowledge::read_only(&path).map_err(of_knowledge)? else {
        return Ok(None);
    };
    match knowledge.show(name, version) {
        Ok(known) => Ok(Some(known)),
        Err(KnowledgeError::Unknown(_)) => Ok(None),
        Err(error) => Err(of_knowledge(error)),
    }
}

fn known_or_not_found(
    call: &Call<'_>,
    name: &Name,
    version: Option<i64>,
) -> Result<Known, ToolError> {
    let found = known(call, name, version)?;
    found.ok_or_else(|| of_knowledge(KnowledgeError::Unknown(name.to_string())))
}

/// The schemas that values of a name have to fit.
pub(super) fn schemas(call: &Call<'_>, name: &str) -> Result<Vec<Value>, ToolError> {
    let known = known_or_not_found(call, &parsed(name)?, None)?;
    Ok(known.schemas().cloned().collect())
}

/// The database for writing, in the place that the engine makes for it.
fn writable(call: &Call<'_>) -> Result<Knowledge, ToolError> {
    let path = call.site.paths()?.knowledge();
    match path.parent() {
        Some(directory) if directory.is_dir() => Knowledge::open(&path).map_err(of_knowledge),
        _ => Err(ToolError::Unavailable(format!(
            "there is no place for {}: `op-dbus apply` makes it",
            path.display()
        ))),
    }
}

fn search(call: &Call<'_>, input: Words) -> Result<Hits, ToolError> {
    let path = call.site.paths()?.knowledge();
    let found = match Knowledge::read_only(&path).map_err(of_knowledge)? {
        None => Vec::new(),
        Some(knowledge) => knowledge
            .search(&input.words, input.limit)
            .map_err(of_knowledge)?,
    };
    let item = |hit: Hit| Item {
        name: hit.name,
        version: hit.version,
        learned: hit.learned,
        format: hit.format.as_str(),
        note: hit.note,
    };
    Ok(Hits {
        known: found.into_iter().map(item).collect(),
    })
}

fn show(call: &Call<'_>, input: Named) -> Result<Shown, ToolError> {
    let known = known_or_not_found(call, &parsed(&input.name)?, input.version)?;
    Ok(Shown {
        name: known.name,
        version: known.version,
        learned: known.learned,
        format: known.format.as_str(),
        note: known.note,
        schema: known.schema,
        rules: known.rules,
        template: known.template,
        examples: known
            .examples
            .iter()
            .map(|example| json!(example))
            .collect(),
    })
}

/// What is to be learned, once the sources are looked at.
fn lesson(call: &Call<'_>, input: &ToLearn) -> Result<(Name, Lesson), ToolError> {
    let name = parsed(&input.name)?;
    let mut lesson = match (&input.lesson, input.sources.as_slice()) {
        (Some(lesson), []) => serde_json::from_value::<Lesson>(lesson.clone())
            .map_err(|error| ToolError::Invalid(format!("the lesson: {error}")))?,
        (None, [_, ..]) => {
            let mut taught = Vec::new();
            let mut format = None;
            for (done, source) in input.sources.iter().enumerate() {
                call.progress(source.clone(), done, input.sources.len());
                let inspection = gather(call, source)?;
                format.get_or_insert(inspection.format);
                taught.push(of_inspection(&inspection)?);
            }
            Lesson {
                format: format.unwrap_or(inspector::Format::Empty),
                examples: taught,
                rules: None,
                note: None,
            }
        }
        _ => {
            return Err(ToolError::Invalid(
                "give either `sources` or `lesson`".to_owned(),
            ));
        }
    };
    if input.rules.is_some() {
        lesson.rules.clone_from(&input.rules);
    }
    if input.note.is_some() {
        lesson.note.clone_from(&input.note);
    }
    Ok((name, lesson))
}

fn of_inspection(inspection: &Inspection) -> Result<Taught, ToolError> {
    Ok(Taught {
        example: Example {
            source: inspection.source.clone(),
            sha256: inspection.sha256.clone(),
            bytes: inspection.bytes,
        },
        shape: shape(inspection)?.without_values(),
    })
}

fn preview_learn(call: &Call<'_>, input: ToLearn) -> Result<Plan, ToolError> {
    let (name, lesson) = lesson(call, &input)?;
    let before = known(call, &name, None)?.map(|known| json!({ "version": known.version }));
    let digests: Vec<_> = lesson
        .examples
        .iter()
        .map(|taught| &taught.example.sha256)
        .collect();
    let after = json!({ "examples": digests, "rules": lesson.rules, "note": lesson.note });
    let verb = match before {
        Some(_) => Verb::Update,
        None => Verb::Create,
    };
    Ok(plan(&name, verb, before.unwrap_or_default(), after))
}

fn plan(name: &Name, verb: Verb, before: Value, after: Value) -> Plan {
    Plan {
        changes: vec![Change {
            destroys: verb == Verb::Delete,
            ..Change::new("inspector", name.to_string(), verb, before, after)
        }],
        notes: Vec::new(),
    }
}

fn learn(call: &Call<'_>, input: ToLearn) -> Result<Learned, ToolError> {
    let (name, lesson) = lesson(call, &input)?;
    call.check()?;
    let now = jiff::Timestamp::now().to_string();
    let learned = writable(call)?.learn(&name, &lesson, &now);
    let (version, new) = learned.map_err(of_knowledge)?;
    Ok(Learned {
        name: name.to_string(),
        outcome: if new { "learned" } else { "unchanged" },
        version,
    })
}

fn preview_forget(call: &Call<'_>, input: &ToForget) -> Result<Plan, ToolError> {
    let name = parsed(&input.name)?;
    // What cannot be read any more can be forgotten.
    let found = match Knowledge::read_only(&call.site.paths()?.knowledge()).map_err(of_knowledge)? {
        Some(knowledge) => knowledge.version(&name),
        None => Err(KnowledgeError::Unknown(name.to_string())),
    };
    let (version, learned) = found.map_err(of_knowledge)?;
    let before = json!({ "version": version, "learned": learned });
    Ok(plan(&name, Verb::Delete, before, Value::Null))
}

fn forget(call: &Call<'_>, input: &ToForget) -> Result<Forgotten, ToolError> {
    let name = parsed(&input.name)?;
    writable(call)?.forget(&name).map_err(of_knowledge)?;
    Ok(Forgotten {
        name: name.to_string(),
        outcome: "forgotten",
    })
}
