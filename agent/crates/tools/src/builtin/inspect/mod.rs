//! Data of any form: what it is, what it looks like, whether it fits, and what was learned of it.

mod address;
mod fetch;
mod gather;
mod learned;

use inspector::{Checker, Fault, Inspection, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};
use gather::{gather, of_inspector};

/// How many sources one call may name.
const MOST_SOURCES: usize = 100;

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// What is looked at.
    source: String,
    /// More examples of the same, for the schema; at most 100.
    #[serde(default)]
    #[schemars(length(max = MOST_SOURCES))]
    examples: Vec<String>,
    /// Whether the schema is wanted.
    #[serde(default)]
    schema: bool,
}

/// What was found out.
#[derive(Serialize, JsonSchema)]
struct Told {
    /// Where it comes from.
    source: String,
    /// What it is: `json`, `json-lines`, `xml`, `yaml`, `toml`, `ini`, `elf`, `tar`, `sqlite`, `text`, `binary`, `empty`,
    /// `dbus-object`, `lxc-container` or `oci-image`.
    format: &'static str,
    /// Its length in bytes.
    bytes: u64,
    /// The SHA-256 of its bytes, as hexadecimal digits.
    sha256: String,
    /// What it holds, in the terms of its format.
    description: Value,
    /// A JSON Schema (draft 2020-12) that it and the other examples fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Checked {
    /// What is checked.
    source: String,
    /// The name of what it should be like.
    #[serde(default)]
    name: Option<String>,
    /// The JSON Schema (draft 2020-12) that it should fit, instead of a name.
    #[serde(default)]
    schema: Option<Value>,
}

/// Whether something fits.
#[derive(Serialize, JsonSchema)]
struct Verdict {
    /// Where it comes from.
    source: String,
    /// Whether it fits.
    valid: bool,
    /// What does not, 50 at most for each value.
    faults: Vec<Found>,
}

/// Something that does not fit.
#[derive(Serialize, JsonSchema)]
struct Found {
    /// Which value it is in, counted from 0: a file of JSON lines has many.
    value: usize,
    /// Where in the value (JSON Pointer); empty for the whole.
    place: String,
    /// What is wrong.
    message: String,
    /// Which part of the schema says so (JSON Pointer).
    rule: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Inspection;
    let mut tools = vec![
        Tool::read(
            domain,
            "inspect",
            "Inspect data",
            "Says what a source is (JSON, XML, YAML, TOML, INI, ELF, text and more) and what it holds, and gives a JSON \
             Schema of it and of further examples. At most 16 MiB, 64 levels and a million values. A source is an absolute \
             path under access.files.read, https://… under access.inspect.urls, dbus:NAME:/path[:interface] for properties \
             on the system bus (nothing is started), lxc:NAME for a container, or oci:/path for an image. Viewers see files \
             that every user may read; the rest takes the role operator.",
            inspect,
        )
.says(&["inspect /etc/os-release", "analyse lxc:web-01", "what is in /etc/os-release?"])
        .example(json!({ "source": "/etc/os-release", "schema": true }))
        .example(json!({ "source": "dbus:org.freedesktop.hostname1:/org/freedesktop/hostname1" })),
        Tool::read(
            domain,
            "inspect_validate",
            "Validate data",
            "Checks a source against what was learned under a name, or against a JSON Schema (draft 2020-12) that refers to \
             nothing outside of itself. Sources are those of the tool inspect.",
            validate,
        )
.says(&["validate /etc/os-release as os-release", "check /etc/os-release against os-release"])
        .example(json!({ "source": "/etc/os-release", "name": "os-release" })),
    ];
    tools.extend(learned::tools());
    tools
}

fn inspect(call: &Call<'_>, input: Asked) -> Result<Told, ToolError> {
    let first = gather(call, &input.source)?;
    let schema = match input.schema || !input.examples.is_empty() {
        false => None,
        true => {
            let mut shape = shape(&first)?;
            for (done, source) in input.examples.iter().enumerate() {
                call.progress(source.clone(), done, input.examples.len());
                shape.merge(self::shape(&gather(call, source)?)?);
            }
            Some(shape.schema())
        }
    };
    Ok(Told {
        source: first.source,
        format: first.format.as_str(),
        bytes: first.bytes,
        sha256: first.sha256,
        description: first.description,
        schema,
    })
}

/// What something looks like, if it has values.
fn shape(inspection: &Inspection) -> Result<Shape, ToolError> {
    inspection.shape().ok_or_else(|| {
        ToolError::Invalid(format!(
            "{} is {}, which has no values: there is no schema for it",
            inspection.source, inspection.format
        ))
    })
}

fn validate(call: &Call<'_>, input: Checked) -> Result<Verdict, ToolError> {
    let schemas = match (input.name, input.schema) {
        (Some(name), None) => learned::schemas(call, &name)?,
        (None, Some(schema)) => vec![schema],
        _ => {
            return Err(ToolError::Invalid(
                "give either `name` or `schema`".to_owned(),
            ));
        }
    };
    let inspection = gather(call, &input.source)?;
    // What has no values fits nothing.
    shape(&inspection)?;
    let mut faults = Vec::new();
    for schema in &schemas {
        let checker = Checker::new(schema).map_err(of_inspector)?;
        for (value, example) in inspection.examples().iter().enumerate() {
            call.check()?;
            let found = checker.faults(example).map_err(of_inspector)?;
            faults.extend(found.into_iter().map(|fault| of_fault(value, fault)));
            if faults.len() > 1000 {
                break;
            }
        }
    }
    Ok(Verdict {
        source: inspection.source,
        valid: faults.is_empty(),
        faults,
    })
}

fn of_fault(value: usize, fault: Fault) -> Found {
    let Fault {
        place,
        message,
        rule,
    } = fault;
    Found {
        value,
        place,
        message,
        rule,
    }
}
