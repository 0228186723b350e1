//! inspect: what data is and looks like. Files are read by this process, with the rights of whoever calls it.

mod text;

use std::path::Path;

use anyhow::Context as _;
use inspector::container::{self, Directory, TarFiles};
use inspector::{
    Budget, Checker, Example, Format, Inspection, Lesson, Limits, Place, Shape, Source, Taught,
};
use serde_json::{Value, json};
use tools::Options;

use super::agree;
use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(cli: &Cli, screen: &Screen, options: &cli::Inspect) -> Result<u8, Failure> {
    if let Some(words) = &options.search {
        return search(&mut Line::open(cli, screen)?, screen, words);
    }
    if let Some(name) = &options.show {
        return show(
            &mut Line::open(cli, screen)?,
            screen,
            name,
            options.template,
        );
    }
    if let Some(name) = &options.forget {
        return forget(&mut Line::open(cli, screen)?, screen, name);
    }
    let first = options.source.iter();
    let sources: Vec<_> = first.chain(&options.examples).map(String::as_str).collect();
    let places: Vec<Place> = sources
        .iter()
        .map(|source| source.parse().map_err(failed))
        .collect::<Result<_, _>>()?;
    let here = |place: &Place| matches!(place, Place::File(_) | Place::Stdin | Place::Oci(_));
    let asked = Asked {
        cli,
        screen,
        options,
    };
    match (places.iter().all(here), places.iter().any(here)) {
        (true, _) => asked.here(&sources, &places),
        (false, false) => asked.by_tool(&sources),
        (false, true) => Err(Failure::Usage(
            "files are read here, and other sources by the daemon: ask for one kind at a time"
                .to_owned(),
        )),
    }
}

fn failed(error: inspector::Error) -> Failure {
    match error {
        inspector::Error::Schema(_)
        | inspector::Error::Syntax {
            format: "source", ..
        } => Failure::Usage(error.to_string()),
        other => Failure::Failed(other.into()),
    }
}

struct Asked<'a> {
    cli: &'a Cli,
    screen: &'a Screen,
    options: &'a cli::Inspect,
}

impl Asked<'_> {
    fn line(&self) -> Result<Line<'_>, Failure> {
        Line::open(self.cli, self.screen)
    }

    /// Looks with the rights of this process; only what is known comes from the daemon.
    fn here(&self, sources: &[&str], places: &[Place]) -> Result<u8, Failure> {
        let mut found = Vec::new();
        for (source, place) in sources.iter().zip(places) {
            if sources.len() > 1 {
                self.screen.aside(source);
            }
            found.push(look(source, place)?);
        }
        if let Some(name) = &self.options.learn {
            let lesson = json!(lesson(&found)?);
            return self.learn(json!({ "name": name, "lesson": lesson }));
        }
        if let Some(against) = &self.options.validate {
            let checkers = self.checkers(against)?;
            let verdicts = found
                .iter()
                .map(|inspection| verdict(inspection, &checkers));
            let verdicts = verdicts.collect::<Result<Vec<_>, _>>()?;
            return Ok(self.verdicts(verdicts));
        }
        let schema = match self.options.schema || found.len() > 1 {
            true => Some(taught(&found)?.schema()),
            false => None,
        };
        // The others are examples, and no question of their own.
        let mut told = json!(found.first());
        if let Some(schema) = schema {
            told["schema"] = schema;
        }
        self.told(&told);
        Ok(0)
    }

    /// Lets the tools look, with the rights that the caller has there.
    fn by_tool(&self, sources: &[&str]) -> Result<u8, Failure> {
        if let Some(name) = &self.options.learn {
            return self.learn(json!({ "name": name, "sources": sources }));
        }
        let mut line = self.line()?;
        if let Some(against) = &self.options.validate {
            let mut verdicts = Vec::new();
            for source in sources {
                let arguments = match Path::new(against).is_file() {
                    true => json!({ "source": source, "schema": schema_in(against)? }),
                    false => json!({ "source": source, "name": against }),
                };
                verdicts.push(line.call("inspect_validate", arguments, Options::default())?);
            }
            return Ok(self.verdicts(verdicts));
        }
        let arguments = json!({
            "source": sources[0], "examples": sources[1..], "schema": self.options.schema,
        });
        self.told(&line.call("inspect", arguments, Options::default())?);
        Ok(0)
    }

    fn told(&self, told: &Value) {
        self.screen.result(told, || match self.options.schema {
            // What is asked for can be put into a file.
            true => format!("{:#}\n", told["schema"]),
            false => text::inspection(told),
        });
    }

    fn learn(&self, mut arguments: Value) -> Result<u8, Failure> {
        arguments["note"] = json!(self.options.note);
        if let Some(rules) = &self.options.rules {
            arguments["rules"] = schema_in(&rules.to_string_lossy())?;
        }
        let learned = self
            .line()?
            .call("inspect_learn", arguments, Options::default())?;
        self.screen.result(&learned, || {
            let word = |key: &str| learned[key].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {}, version {}\n",
                word("outcome"),
                word("name"),
                learned["version"]
            )
        });
        Ok(0)
    }

    fn checkers(&self, against: &str) -> Result<Vec<Checker>, Failure> {
        let schemas = match Path::new(against).is_file() {
            true => vec![schema_in(against)?],
            false => {
                let known: Value = self
                    .line()?
                    .read("inspect_show", json!({ "name": against }))?;
                vec![known["schema"].clone(), known["rules"].clone()]
            }
        };
        let schemas = schemas.iter().filter(|schema| !schema.is_null());
        schemas
            .map(|schema| Checker::new(schema).map_err(failed))
            .collect()
    }

    fn verdicts(&self, verdicts: Vec<Value>) -> u8 {
        let valid = verdicts
            .iter()
            .all(|verdict| verdict["valid"] == json!(true));
        let json = json!({ "valid": valid, "sources": verdicts });
        self.screen
            .result(&json, || verdicts.iter().map(text::verdict).collect());
        u8::from(!valid)
    }
}

/// Looks at a source that this process reads itself.
fn look(source: &str, place: &Place) -> Result<Inspection, Failure> {
    let limits = Limits::default();
    let read = match place {
        Place::Stdin => Source::stream("-", std::io::stdin().lock(), &limits),
        Place::File(path) => Source::file(path, &limits),
        Place::Oci(path) => {
            let value = image(path, &limits).map_err(failed)?;
            return Ok(Inspection::of_value(source, Format::OciImage, value));
        }
        Place::Url(_) | Place::Dbus { .. } | Place::Lxc(_) => {
            return Err(Failure::Usage(format!("{source} is read by the daemon")));
        }
    };
    read.and_then(|read| inspector::inspect(&read, &limits))
        .map_err(failed)
}

fn image(path: &Path, limits: &Limits) -> Result<Value, inspector::Error> {
    match path.is_dir() {
        true => container::image(&Directory::open(path)?, limits),
        false => {
            let files = TarFiles::new(inspector::open(path)?, &Budget::new(*limits))?;
            container::image(&files, limits)
        }
    }
}

fn shape(inspection: &Inspection) -> Result<Shape, Failure> {
    inspection.shape().ok_or_else(|| {
        Failure::Usage(format!(
            "{} is {}, which has no values: there is no schema for it",
            inspection.source, inspection.format
        ))
    })
}

fn taught(found: &[Inspection]) -> Result<Shape, Failure> {
    let mut all = Shape::default();
    for inspection in found {
        all.merge(shape(inspection)?);
    }
    Ok(all)
}

/// What is sent to be learned: what the examples look like, and never what they hold.
fn lesson(found: &[Inspection]) -> Result<Lesson, Failure> {
    let taught = |inspection: &Inspection| {
        let source = match inspection.source.as_str() {
            "-" => "standard input".to_owned(),
            path => {
                std::path::absolute(path).map_or(path.to_owned(), |path| path.display().to_string())
            }
        };
        Ok(Taught {
            example: Example {
                source,
                sha256: inspection.sha256.clone(),
                bytes: inspection.bytes,
            },
            shape: shape(inspection)?.without_values(),
        })
    };
    Ok(Lesson {
        format: found.first().map_or(Format::Empty, |first| first.format),
        examples: found.iter().map(taught).collect::<Result<_, Failure>>()?,
        rules: None,
        note: None,
    })
}

fn verdict(inspection: &Inspection, checkers: &[Checker]) -> Result<Value, Failure> {
    shape(inspection)?;
    let mut faults = Vec::new();
    for checker in checkers {
        for (value, example) in inspection.examples().iter().enumerate() {
            for fault in checker.faults(example).map_err(failed)? {
                let mut fault = json!(fault);
                fault["value"] = json!(value);
                faults.push(fault);
            }
        }
    }
    Ok(json!({ "source": inspection.source, "valid": faults.is_empty(), "faults": faults }))
}

/// A schema in a file, in any format that has values.
fn schema_in(path: &str) -> Result<Value, Failure> {
    let limits = Limits::default();
    let source = Source::file(Path::new(path), &limits).map_err(failed)?;
    let found = inspector::inspect(&source, &limits).map_err(failed)?;
    let value = found
        .value
        .with_context(|| format!("{path} is {}, and no JSON Schema", found.format))?;
    Ok(value)
}

fn search(line: &mut Line<'_>, screen: &Screen, words: &str) -> Result<u8, Failure> {
    let found = line.call(
        "inspect_search",
        json!({ "words": words, "limit": 100 }),
        Options::default(),
    )?;
    screen.result(&found, || {
        let hits = found["known"].as_array().into_iter().flatten();
        let rows: Vec<_> = hits
            .map(|hit| {
                let cell = |key: &str| match &hit[key] {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                ["name", "version", "format", "learned", "note"]
                    .map(cell)
                    .to_vec()
            })
            .collect();
        table(&["NAME", "VERSION", "FORMAT", "LEARNED", "NOTE"], &rows)
    });
    Ok(0)
}

fn show(line: &mut Line<'_>, screen: &Screen, name: &str, template: bool) -> Result<u8, Failure> {
    let known = line.call("inspect_show", json!({ "name": name }), Options::default())?;
    let told = match template {
        true => &known["template"],
        false => &known,
    };
    screen.result(told, || format!("{told:#}\n"));
    Ok(0)
}

fn forget(line: &mut Line<'_>, screen: &Screen, name: &str) -> Result<u8, Failure> {
    let arguments = json!({ "name": name });
    let question = format!("Forget what was learned as {name}?");
    let forgotten = agree::destroy(line, screen, "inspect_forget", arguments, &question)?;
    screen.result(&forgotten, || format!("forgotten {name}\n"));
    Ok(0)
}
