//! The two files: what is taken, what is not, and that nothing in them does harm.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use plugins::derived::store::{MAPPING_FILE, PLUGIN_FILE, Trust, in_directory};
use plugins::derived::{FileProblems, Mapping};
use proptest::prelude::*;
use proptest::sample::Index;

const PLUGIN: &str = r#"name = "shop"
version = "1.0.0"
introspection_path = "org.example.Shop1"
capabilities = ["read", "write"]
enabled = true
"#;

const MAPPING: &str = r#"
[interfaces]
"org.example.Shop1.Item" = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]

[[resource]]
name = "item"
interface = "org.example.Shop1.Item"
path = "/org/example/Shop1/Items/*"
identity = "Name"
[resource.properties]
Name = "s"
Price = "u"

[[write]]
resource = "item"
property = "Price"
safe = true
reviewed_by = "somebody"
reviewed_at = "2026-11-21"
"#;

/// What is said of each file, as `path line found`.
fn said(problems: &FileProblems) -> Vec<String> {
    let both = [&problems.plugin, &problems.mapping].into_iter().flatten();
    let lines = both.flat_map(|problems| problems.iter()).map(|problem| {
        let line = problem
            .line
            .map_or_else(|| "-".to_owned(), |line| line.to_string());
        assert!(!problem.accepted.is_empty());
        format!("{} {line} {}", problem.path, problem.found)
    });
    lines.collect()
}

#[track_caller]
fn refused(plugin: &str, mapping: &str) -> Vec<String> {
    said(&Mapping::parse(plugin, mapping).unwrap_err())
}

#[test]
fn good_files_are_read() {
    let mapping = Mapping::parse(PLUGIN, MAPPING).unwrap();
    assert_eq!(mapping.refusal("item", "Price"), None);
    assert!(
        mapping
            .refusal("item", "Name")
            .unwrap()
            .contains("only reads it")
    );
    assert!(mapping.answers_for("org.example.Shop1") && !mapping.answers_for("org.example.Shop2"));
}

#[test]
fn all_problems_of_both_files_are_said_with_their_lines() {
    let plugin = "name = \"Shop\"\nversion = 1\nintrospection_path = \"shop\"\ncapabilities = [\"fly\"]\ncolour = \"red\"\n";
    let mapping = "activate = 3\n[[resource]]\nname = \"item\"\npath = \"items\"\n";
    let said = refused(plugin, mapping);
    let starts = |start: &str| {
        assert!(
            said.iter().any(|line| line.starts_with(start)),
            "{start}: {said:#?}"
        )
    };
    starts("name 1 `\"Shop\"`");
    starts("version 2 `1`");
    starts("introspection_path 3");
    starts("capabilities[0] 4 `\"fly\"`");
    starts("colour 5 an unknown key");
    starts("activate 1 `3`");
    starts("resource[0].path 4");
    starts("resource[0].interface 2 nothing: the key is missing");
    starts("resource[0].properties 2 nothing: the key is missing");
    assert_eq!(said.len(), 9, "{said:#?}");
}

#[test]
fn what_takes_two_values_to_see_is_said_too() {
    let cases = [
        (
            "name = \"shop\"",
            "name = \"ovs\"",
            "plugin of the agent's own",
        ),
        ("Price = \"u\"", "Price = \"h\"", "`h`"),
        ("Price = \"u\"", "Price = \"uu\"", "`uu`"),
        ("Price = \"u\"", "Price = \"(\"", "`(`"),
        ("identity = \"Name\"", "identity = \"Colour\"", "`Colour`"),
        ("reviewed_by = \"somebody\"\n", "", "without `reviewed_by`"),
        ("resource = \"item\"", "resource = \"thing\"", "`thing`"),
        ("property = \"Price\"", "property = \"Colour\"", "`Colour`"),
        (
            "property = \"Price\"",
            "property = \"Name\"",
            "names the resource",
        ),
        ("[\"read\", \"write\"]", "[\"write\"]", "no `read`"),
        ("Price = \"u\"", "Price = \"v\"", "a variant"),
        ("Price = \"u\"", "Price = \"a{sv}\"", "a variant"),
    ];
    for (from, to, expected) in cases {
        let said = refused(&PLUGIN.replace(from, to), &MAPPING.replace(from, to));
        assert!(
            said.len() == 1 && said[0].contains(expected),
            "{to}: {said:#?}"
        );
    }
}

#[test]
fn arguments_fit_their_types() {
    let with = |call: &str| format!("{MAPPING}[write.call]\nmethod = \"SetPrice\"\n{call}\n");
    Mapping::parse(
        PLUGIN,
        &with("signature = \"ub\"\narguments = [\"$value\", false]"),
    )
    .unwrap();
    for (call, expected) in [
        (
            "signature = \"ub\"\narguments = [\"$value\"]",
            "1 arguments for 2 types",
        ),
        (
            "signature = \"ub\"\narguments = [\"$price\", false]",
            "$price",
        ),
        ("signature = \"ub\"\narguments = [\"$value\", 3]", "3"),
        ("signature = \"uz\"\narguments = [\"$value\"]", "`uz`"),
        (
            "signature = \"v\"\narguments = [\"$value\"]",
            "as a variant",
        ),
    ] {
        let said = refused(PLUGIN, &with(call));
        assert!(
            said.len() == 1 && said[0].contains(expected),
            "{call}: {said:#?}"
        );
    }
}

#[test]
fn without_a_review_nothing_may_be_written() {
    for (from, to, expected) in [
        ("safe = true", "safe = false", "does not declare it safe"),
        (
            "\"org.example.Shop1.Item\" =",
            "\"org.example.Other\" =",
            "no reviewed digest",
        ),
        (
            "[\"read\", \"write\"]",
            "[\"read\"]",
            "no capability `write`",
        ),
    ] {
        let mapping =
            Mapping::parse(&PLUGIN.replace(from, to), &MAPPING.replace(from, to)).unwrap();
        assert!(mapping.refusal("item", "Price").unwrap().contains(expected));
    }
}

#[test]
fn hostile_files_are_refused_in_bounded_time() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let wide = "[[resource]]\n".repeat(20_000);
    let keys: String = (0..20_000)
        .map(|number| format!("k{number} = 1\n"))
        .collect();
    for text in [
        deep.as_str(),
        &wide,
        &keys,
        "a = \u{1}",
        "\"\\ud800\" = 1",
        "a.b = 1\na = 2",
    ] {
        let problems = Mapping::parse(text, text).unwrap_err();
        assert!(format!("{problems:?}").len() < 4 << 20);
    }
}

/// A Nix build, and somebody's checkout, have no files of root's.
#[test]
fn for_a_check_elsewhere_the_files_may_be_anybodys() {
    let directory = tempfile::tempdir().unwrap();
    let shop = directory.path().join("shop");
    fs::create_dir(&shop).unwrap();
    fs::write(shop.join(PLUGIN_FILE), PLUGIN).unwrap();
    fs::write(shop.join(MAPPING_FILE), MAPPING).unwrap();
    fs::set_permissions(&shop, fs::Permissions::from_mode(0o777)).unwrap();
    let usable = |trust| {
        let entries = in_directory(directory.path(), trust);
        assert_eq!(entries.len(), 1);
        entries[0].usable().is_ok()
    };
    assert!(!usable(Trust::Root));
    assert!(usable(Trust::Anybody));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Mapping::parse(&text, MAPPING);
        let _ = Mapping::parse(PLUGIN, &text);
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        cuts in proptest::collection::vec((any::<Index>(), "[\\[\\]={}\"a-z0-9.*/$\n-]{0,4}"), 1..4)
    ) {
        let mut text = MAPPING.to_owned();
        for (at, junk) in cuts {
            let at = at.index(text.len());
            text.replace_range(at..(at + junk.len()).min(text.len()), &junk);
        }
        if let Err(problems) = Mapping::parse(PLUGIN, &text) {
            prop_assert!(problems.plugin.is_none() && problems.mapping.is_some());
        }
    }
}
