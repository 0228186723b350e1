//! Documents that are meant to do harm: they are refused, in bounded time and memory.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use declaration::{Declaration, Format, Problems};

fn refused(text: &str, format: Format) -> Problems {
    let problems = Declaration::parse(text, format).unwrap_err();
    assert!(problems.problems.len() <= 1000);
    assert!(problems.to_string().len() < 4 << 20, "too much is said");
    problems
}

fn one_problem(text: &str, format: Format, expected: &str) {
    let problems = refused(text, format);
    assert_eq!(problems.problems.len(), 1, "{problems}");
    assert!(problems.problems[0].found.contains(expected), "{problems}");
}

#[test]
fn deep_nesting_is_refused() {
    for depth in [65, 1_000, 1_000_000] {
        one_problem(&"[".repeat(depth), Format::Yaml, "line 1");
        one_problem(&"{a: ".repeat(depth), Format::Yaml, "line 1");
    }
    for depth in [200, 1_000_000] {
        one_problem(&"[".repeat(depth), Format::Json, "recursion limit");
        one_problem(&"{\"a\":".repeat(depth), Format::Json, "recursion limit");
    }
    let blocks: String = (0..3_000).fold(String::new(), |mut text, depth| {
        let _ = writeln!(text, "{}a:", " ".repeat(depth));
        text
    });
    one_problem(&blocks, Format::Yaml, "line 6");
    one_problem(&"- ".repeat(100_000), Format::Yaml, "line 1");
}

#[test]
fn aliases_cannot_multiply() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        let aliases = [alias.as_str(); 10].join(", ");
        let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
    }
    one_problem(&bomb, Format::Yaml, "more than 1000000 values");
}

#[test]
fn aliases_cannot_dig() {
    let mut pit = "a0: &a0 [x]\n".to_owned();
    for level in 1..10_000 {
        let _ = writeln!(pit, "a{level}: &a{level} [*a{}]", level - 1);
    }
    one_problem(&pit, Format::Yaml, "nested deeper than 64 levels");
}

#[test]
fn an_alias_inside_of_its_anchor_is_refused() {
    one_problem(
        "a: &a [*a]",
        Format::Yaml,
        "an alias inside of what it stands for",
    );
    one_problem(
        "a: &a { <<: *a }",
        Format::Yaml,
        "an alias inside of what it stands for",
    );
    one_problem("a: *b", Format::Yaml, "line 1");
}

#[test]
fn merge_keys_cannot_multiply() {
    let mut bomb = "m0: &m0 { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8 }\n".to_owned();
    for level in 1..40 {
        let alias = format!("*m{}", level - 1);
        let aliases = [alias.as_str(); 20].join(", ");
        let _ = writeln!(
            bomb,
            "m{level}: &m{level} {{ <<: [{aliases}], x{level}: *m{} }}",
            level - 1
        );
    }
    one_problem(&bomb, Format::Yaml, "more than 1000000 values");
    one_problem("<<: 1", Format::Yaml, "`<<` with something else than a map");
}

#[test]
fn odd_yaml_is_refused() {
    one_problem("? [a]\n: 1", Format::Yaml, "a list or map as a key");
    one_problem("&a x: 1\n*a : 2", Format::Yaml, "an alias as a key");
    one_problem(
        "a: !secret x",
        Format::Yaml,
        "a tag that is not of YAML's own",
    );
    one_problem("a: !x [1]", Format::Yaml, "a tag that is not of YAML's own");
    one_problem(
        &format!("{}: 1", "k".repeat(300)),
        Format::Yaml,
        "a key of more than 256 bytes",
    );
    one_problem(
        &format!("{{\"{}\": 1}}", "k".repeat(300)),
        Format::Json,
        "a key of more than 256 bytes",
    );
    one_problem("\u{0}", Format::Yaml, "line 1");
}

#[test]
fn large_documents_are_bounded() {
    const TEN_MB: usize = 10 << 20;
    let too_large = " ".repeat((16 << 20) + 1);
    one_problem(&too_large, Format::Yaml, "a larger file");
    one_problem(&too_large, Format::Json, "a larger file");
    one_problem(
        &format!("[{}0]", "0,".repeat(TEN_MB / 2)),
        Format::Json,
        "more than 1000000 values",
    );
    one_problem(
        &format!("[{}0]", "0,".repeat(TEN_MB / 2)),
        Format::Yaml,
        "more than 1000000 values",
    );
    refused(&format!("\"{}\"", "x".repeat(TEN_MB)), Format::Json);
    refused(&format!("version: {}", "x".repeat(TEN_MB)), Format::Yaml);
    refused(
        &format!(
            "version: '{}'\nplugins: {{ovs: {{bridges: {}}}}}",
            "9".repeat(TEN_MB / 2),
            "x".repeat(TEN_MB / 2)
        ),
        Format::Yaml,
    );
}

#[test]
fn of_many_problems_the_first_are_listed_and_the_rest_counted() {
    let mut text = "version: \"1.0\"\nplugins:\n  ovs:\n    bridges:\n".to_owned();
    for number in 0..20_000 {
        let _ = writeln!(text, "      number-of-bridge-{number}: {{ datapth: x }}");
    }
    let problems = refused(&text, Format::Yaml);
    assert_eq!(problems.problems.len() + problems.omitted, 40_000);
    assert_eq!(problems.problems.len(), 1000);
    assert!(problems.to_string().ends_with("… and 39000 more"));
}

#[test]
fn many_unknown_and_repeated_keys_take_no_time() {
    let mut text = "{".to_owned();
    for number in 0..300_000 {
        let _ = write!(text, "\"version{number}\": 0, \"plugins\": {{}}, ");
    }
    text.push_str("\"version\": 1}");
    let problems = refused(&text, Format::Json);
    assert_eq!(problems.problems.len() + problems.omitted, 599_999);
}

#[test]
fn a_long_chain_of_containers_is_followed_to_its_end() {
    const LENGTH: usize = 20_000;
    let mut text = "version: 1\nplugins:\n  lxc:\n    templates: { t: { recipe: busybox } }\n    containers:\n".to_owned();
    for number in 0..LENGTH {
        let after = (number + 1) % LENGTH;
        let _ = writeln!(
            text,
            "      c{number}: {{ template: t, network: none, after: [c{after}] }}"
        );
    }
    let problems = refused(&text, Format::Yaml);
    assert_eq!(problems.problems.len(), 1);
    assert_eq!(
        problems.problems[0].found,
        "a cycle: c0 → c1 → c2 → c3 → c4 → c5 → c6 → c7 → … → c0 (20000 containers)"
    );
}
