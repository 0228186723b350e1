//! The published schemas are those of the code. `WRITE_EXPECTED=1` writes them.

use std::fs;
use std::path::Path;

use plugins::derived::format::{mapping_schema, plugin_schema};
use serde_json::Value;

fn is_published(name: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../docs/reference")
        .join(name);
    let text = format!("{schema:#}\n");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap();
    assert!(
        published == text,
        "{name} is not what the code says: run this test with WRITE_EXPECTED=1"
    );
    assert!(jsonschema::draft202012::meta::is_valid(schema));
}

#[test]
fn the_schemas_are_published() {
    is_published("plugin.schema.json", &plugin_schema());
    is_published("semantic-mapping.schema.json", &mapping_schema());
}
