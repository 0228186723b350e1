//! The description of REST (OpenAPI 3.1.1), made from the table of routes and the tools that there are.

use api::Tool;
use serde_json::{Map, Value, json};

use super::route::{ROUTES, Route, Takes, Who};

/// Where schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// The whole description.
pub(super) fn document(tools: &[Tool]) -> Value {
    let mut schemas = own_schemas();
    for tool in tools {
        add(
            &mut schemas,
            &format!("{}.arguments", tool.name),
            &tool.input_schema,
        );
        add(
            &mut schemas,
            &format!("{}.answer", tool.name),
            &tool.output_schema,
        );
    }
    let mut paths = Map::new();
    for route in ROUTES.iter() {
        let tool = route
            .through
            .and_then(|(name, _)| tools.iter().find(|tool| tool.name == name));
        let method = route.method.as_str().to_ascii_lowercase();
        paths.entry(route.path).or_insert_with(|| json!({}))[method] = operation(route, tool);
    }
    // The paths that are spelt out come before the one with a name in braces (OpenAPI 3.1.1 §4.8.8.2).
    for tool in tools {
        paths.insert(
            format!("/api/tools/{}", tool.name),
            json!({ "post": call_of(tool) }),
        );
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "operation-dbus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the host is asked over HTTP. Every change is one entry of the ledger.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "cookie": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "opdbus_access" },
            },
            "schemas": schemas,
        },
    })
}

fn operation(route: &Route, tool: Option<&Tool>) -> Value {
    let gives = match tool {
        Some(tool) => format!("{}.answer", tool.name),
        None => route.gives.to_owned(),
    };
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.summary,
        "parameters": parameters(route, tool),
        "responses": responses(&gives),
    });
    if route.gives == "Metrics" {
        let text = json!({ "application/openmetrics-text": { "schema": { "type": "string" } } });
        operation["responses"]["200"]["content"] = text;
    }
    if route.who == Who::Anybody {
        operation["security"] = json!([]);
    }
    if let Takes::Body(name) = route.takes {
        operation["requestBody"] = body(&json!({ "$ref": format!("{SCHEMAS}{name}") }));
    }
    operation
}

/// Method and path as a name.
fn id(route: &Route) -> String {
    let words = route
        .path
        .split(['/', '.', '{', '}'])
        .filter(|word| !word.is_empty() && *word != "api");
    let words: Vec<_> = words.collect();
    format!(
        "{}_{}",
        route.method.as_str().to_ascii_lowercase(),
        words.join("_")
    )
}

/// A call of one tool, with what it takes and gives.
fn call_of(tool: &Tool) -> Value {
    let arguments = format!("{SCHEMAS}{}.arguments", tool.name);
    let mut schema = own_schemas()["Call"].clone();
    schema["properties"]["arguments"] = json!({ "$ref": arguments });
    let mut operation = json!({
        "operationId": format!("call_{}", tool.name),
        "summary": tool.title,
        "description": tool.description,
        "tags": [tool.domain],
        "requestBody": body(&schema),
        "responses": responses("Called"),
        "x-effect": tool.effect,
        "x-role": tool.role,
    });
    let answer = json!({
        "allOf": [
            { "$ref": format!("{SCHEMAS}Called") },
            { "properties": { "result": { "$ref": format!("{SCHEMAS}{}.answer", tool.name) } } },
        ],
    });
    operation["responses"]["200"]["content"]["application/json"]["schema"] = answer;
    operation
}

fn parameters(route: &Route, tool: Option<&Tool>) -> Vec<Value> {
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path: Vec<_> = in_path.collect();
    let mut parameters: Vec<_> = in_path
        .iter()
        .map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": ["string", "integer"] } })
        })
        .collect();
    if let Takes::Query(words) = route.takes {
        parameters.extend(words.iter().map(|(name, kind, what)| {
            json!({ "name": name, "in": "query", "description": what, "schema": { "type": kind } })
        }));
    }
    let aliases = route.through.map_or(&[][..], |(_, aliases)| aliases);
    let taken = tool.and_then(|tool| tool.input_schema.get("properties")?.as_object());
    for (argument, schema) in taken.into_iter().flatten() {
        if in_path.contains(&argument.as_str()) {
            continue;
        }
        let alias = aliases.iter().find(|(_, of)| of == argument);
        let name = alias.map_or(argument.as_str(), |(alias, _)| alias);
        let required = tool.is_some_and(|tool| {
            let names = tool.input_schema.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|name| name == argument))
        });
        let what = schema["description"].as_str().unwrap_or_default();
        parameters.push(json!({
            "name": name, "in": "query", "required": required, "description": what,
            "schema": { "type": schema["type"].clone() },
        }));
    }
    // A schema that says nothing of its type allows each.
    for parameter in &mut parameters {
        if parameter["schema"]["type"].is_null() {
            parameter["schema"] = json!({});
        }
    }
    parameters
}

fn body(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn responses(gives: &str) -> Value {
    let answer = json!({ "$ref": format!("{SCHEMAS}{gives}") });
    let error = json!({ "application/json": { "schema": { "$ref": format!("{SCHEMAS}Error") } } });
    let refused = |what: &str| json!({ "description": what, "content": error });
    json!({
        "200": { "description": "It was done.", "content": { "application/json": { "schema": answer } } },
        "401": refused("No session, or its token ended."),
        "403": refused("The role does not do, or a page of another origin asked."),
        "404": refused("There is no such thing."),
        "409": refused("The plan is another one by now, or the call was taken back."),
        "422": refused("The arguments are wrong."),
        "428": refused("It loses data, and takes the plan's hash, which is in `plan_hash`."),
        "429": refused("Too much at once."),
        "503": refused("The daemon is away, or the machine lacks what it takes."),
    })
}

/// Adds a schema with all that it refers to, each under a name of its own.
fn add(schemas: &mut Map<String, Value>, name: &str, schema: &Map<String, Value>) {
    let mut schema = Value::Object(schema.clone());
    let parts = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    let prefix = format!("{SCHEMAS}{name}.");
    relocate(&mut schema, &prefix);
    schemas.insert(name.to_owned(), schema);
    if let Some(Value::Object(parts)) = parts {
        for (part, mut schema) in parts {
            relocate(&mut schema, &prefix);
            schemas.insert(format!("{name}.{part}"), schema);
        }
    }
}

/// Has references within a schema lead to where its parts are now.
fn relocate(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(part) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("{prefix}{part}");
            }
            map.values_mut().for_each(|value| relocate(value, prefix));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| relocate(value, prefix)),
        _ => {}
    }
}

/// The schemas of what is no tool's.
fn own_schemas() -> Map<String, Value> {
    let text = include_str!("schemas.json");
    // It is a part of this program, and a test reads it.
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_the_table_has_its_schema() {
        let schemas = own_schemas();
        assert!(!schemas.is_empty());
        for route in ROUTES.iter() {
            if route.through.is_none() {
                assert!(schemas.contains_key(route.gives), "{}", route.gives);
            }
            if let Takes::Body(name) = route.takes {
                assert!(schemas.contains_key(name), "{name}");
            }
        }
    }

    #[test]
    fn every_route_is_described_and_named_once() {
        let document = document(&[]);
        let mut ids = std::collections::BTreeSet::new();
        for route in ROUTES.iter() {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][&method];
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id}");
        }
    }

    #[test]
    fn parts_of_schemas_are_found_where_they_are_put() {
        let schema = json!({ "$defs": { "A": { "$ref": "#/$defs/B" }, "B": {} }, "items": { "$ref": "#/$defs/A" } });
        let mut schemas = Map::new();
        add(&mut schemas, "t", schema.as_object().unwrap());
        assert_eq!(schemas["t"]["items"]["$ref"], "#/components/schemas/t.A");
        assert_eq!(schemas["t.A"]["$ref"], "#/components/schemas/t.B");
        assert!(schemas["t"].get("$defs").is_none());
    }
}
