//! Whole documents: good ones, and bad ones with all that is said of them.
//!
//! Beside each document in `fixtures/bad` stands what is said about it. To write these files anew
//! after a change, set `WRITE_EXPECTED=1`, and read the difference.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use declaration::{Declaration, Format, Problems, ReadError};

fn documents(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(kind);
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "json"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

fn problems(path: &Path) -> Problems {
    match Declaration::read(path) {
        Err(ReadError::Bad { problems, .. }) => problems,
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn good_documents_are_read_and_written_back_the_same() {
    for path in documents("good") {
        let declaration = Declaration::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let json = serde_json::to_string(&declaration).unwrap();
        assert_eq!(
            Declaration::from_json(&json).as_ref(),
            Ok(&declaration),
            "{json}"
        );
        assert_eq!(
            Declaration::from_yaml(&json).as_ref(),
            Ok(&declaration),
            "{json}"
        );
    }
}

#[test]
fn of_bad_documents_every_problem_is_said() {
    let mut differing = Vec::new();
    for path in documents("bad") {
        let said = format!("{}\n", problems(&path));
        let expected = PathBuf::from(format!("{}.problems", path.display()));
        if std::env::var_os("WRITE_EXPECTED").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != said {
            differing.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

/// JSON is YAML too. Only what the syntax itself breaks is told apart.
#[test]
fn json_and_yaml_have_the_same_problems() {
    for path in documents("bad") {
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().unwrap() != "json" || text.contains("//") || !text.trim().ends_with('}')
        {
            continue;
        }
        let said = |format| {
            let problems = Declaration::parse(&text, format).unwrap_err();
            let mut said: Vec<_> = problems
                .iter()
                .map(|problem| (problem.path.to_string(), problem.found.clone()))
                .collect();
            said.sort();
            said
        };
        assert_eq!(said(Format::Json), said(Format::Yaml), "{}", path.display());
    }
}
