//! The `_Server` database, in which clients look for the others (`ovsdb-server(5)`).

use serde_json::{Value as Json, json};

use super::schema::{Schema, SchemaError};

/// Its name.
pub(crate) const NAME: &str = "_Server";

pub(crate) fn schema() -> Result<Schema, SchemaError> {
    let optional = |kind: &str| json!({ "type": { "key": kind, "min": 0 } });
    let models = json!({ "type": "string", "enum": ["set", ["clustered", "relay", "standalone"]] });
    let columns = json!({
        "name": { "type": "string" },
        "model": { "type": { "key": models } },
        "connected": { "type": "boolean" },
        "leader": { "type": "boolean" },
        "schema": optional("string"),
        "cid": optional("uuid"),
        "sid": optional("uuid"),
        "index": optional("integer"),
    });
    Schema::parse(&json!({
        "name": NAME,
        "version": "1.2.0",
        "cksum": "3009684573 744",
        "tables": { "Database": { "columns": columns } },
    }))
}

/// The operation that tells of a database with this schema.
pub(crate) fn insert(schema: &Json) -> Json {
    let row = json!({
        "name": schema["name"],
        "model": "standalone",
        "connected": true,
        "leader": true,
        "schema": schema.to_string(),
    });
    json!({ "op": "insert", "table": "Database", "row": row })
}

/// The operation that takes that back.
pub(crate) fn delete(name: &str) -> Json {
    json!({ "op": "delete", "table": "Database", "where": [["name", "==", name]] })
}
