use proptest::prelude::*;

use super::*;

fn export() -> Export {
    let declaration = json!(declaration::Declaration::default());
    let mut export = Export {
        format: FORMAT.to_owned(),
        version: VERSION,
        made_by: "op-dbus 0.1.0".to_owned(),
        host: Facts::default(),
        declaration,
        containers: BTreeMap::new(),
        templates: BTreeMap::new(),
        state: BTreeMap::from([("btrfs".to_owned(), Seen::Resources(BTreeMap::new()))]),
        ledger: Some(Head {
            id: 7,
            hash: "0".repeat(64),
            time: "2026-01-31T12:00:00Z".to_owned(),
            checkpoint: None,
        }),
        secrets: Vec::new(),
        sha256: String::new(),
    };
    export.sha256 = export.hash();
    export
}

#[test]
fn what_was_written_is_read_and_the_schema_allows_it() {
    let export = export();
    let text = export.text();
    assert_eq!(Export::parse(text.as_bytes()), Ok(export.clone()));
    // People may indent it: the hash is that of the content.
    let pretty = serde_json::to_string_pretty(&export).unwrap();
    assert_eq!(Export::parse(pretty.as_bytes()), Ok(export.clone()));
    let schema = crate::schema::validator(&schema()).unwrap();
    assert_eq!(crate::schema::faults(&schema, &json!(export)), None);
    assert!(!schema.is_valid(&json!({ "format": FORMAT })));
}

#[test]
fn a_later_format_and_another_document_are_told_apart() {
    let mut value = json!(export());
    value["version"] = json!(2);
    let newer = Export::from_value(value).unwrap_err();
    assert_eq!(newer, NotAnExport::Newer(2, "op-dbus 0.1.0".to_owned()));
    assert_eq!(
        Export::parse(b"{}").unwrap_err(),
        NotAnExport::SomethingElse
    );
    let huge = vec![b' '; LARGEST + 1];
    assert_eq!(Export::parse(&huge).unwrap_err(), NotAnExport::TooLarge);
    let mut unknown = json!(export());
    unknown["more"] = json!(1);
    unknown["sha256"] = json!("");
    unknown["sha256"] = json!(hash(&unknown));
    assert!(matches!(
        Export::from_value(unknown).unwrap_err(),
        NotAnExport::Form(_)
    ));
}

#[test]
fn the_published_schema_is_that_of_the_code() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/export.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/reference/export.schema.json is old: run this test with WRITE_EXPECTED=1"
    );
}

proptest! {
    #[test]
    fn any_change_of_a_byte_is_found(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let whole = export();
        let mut text = whole.text().into_bytes();
        let place = place.index(text.len());
        let before = text[place];
        text[place] = byte;
        match Export::parse(&text) {
            // White space at the end is none of the content.
            Ok(read) => prop_assert_eq!(read, whole),
            Err(_) => prop_assert_ne!(before, byte),
        }
    }

    #[test]
    fn a_document_that_is_cut_off_is_refused(place in any::<prop::sample::Index>()) {
        let text = export().text();
        let end = place.index(text.len() - 1);
        prop_assert!(Export::parse(&text.as_bytes()[..end]).is_err());
    }

    #[test]
    fn anything_is_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Export::parse(&text).is_err());
    }
}
