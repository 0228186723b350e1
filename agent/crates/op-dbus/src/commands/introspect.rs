//! introspect: what is on this machine.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use tools::Options;

use crate::cli::{Bus, Cli, Introspect, Part};
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

const PARTS: [Part; 7] = [
    Part::Dbus,
    Part::Hardware,
    Part::Software,
    Part::Filesystems,
    Part::Runtime,
    Part::Sessions,
    Part::Network,
];

impl Part {
    fn word(self) -> &'static str {
        match self {
            Self::Dbus => "dbus",
            Self::Hardware => "hardware",
            Self::Software => "software",
            Self::Filesystems => "filesystems",
            Self::Runtime => "runtime",
            Self::Sessions => "sessions",
            Self::Network => "network",
        }
    }
}

pub(super) fn run(cli: &Cli, screen: &Screen, options: &Introspect) -> Result<u8, Failure> {
    // A session bus lets in nobody but its own user.
    let mut line = match options.bus {
        Bus::Session => Line::here(cli, screen)?,
        Bus::System => Line::open(cli, screen)?,
    };
    let line = &mut line;
    match (&options.service, options.domain) {
        (Some(service), None | Some(Part::Dbus)) => {
            let answer = objects(line, options, service)?;
            screen.result(&answer, || tree(&answer));
        }
        (Some(_), Some(part)) => {
            return Err(Failure::Usage(format!(
                "--service is about dbus, not about {}",
                part.word()
            )));
        }
        (None, Some(Part::Dbus)) => {
            let answer = names(line, options.bus)?;
            screen.result(&answer, || name_table(&answer));
        }
        (None, Some(part)) => {
            let answer = part_of(line, part)?;
            screen.result(&answer, || report(&answer));
        }
        (None, None) => {
            let mut all = Map::new();
            for part in PARTS {
                let answer = match part {
                    Part::Dbus => names(line, options.bus),
                    part => part_of(line, part),
                };
                // A machine without a bus has all the rest.
                let answer = answer.unwrap_or_else(|error| json!({ "error": error.to_string() }));
                all.insert(part.word().to_owned(), answer);
            }
            let all = Value::Object(all);
            screen.result(&all, || summary(&all));
        }
    }
    Ok(0)
}

fn part_of(line: &mut Line<'_>, part: Part) -> Result<Value, Failure> {
    let name = format!("introspect_{}", part.word());
    line.call(&name, json!({}), Options::default())
}

fn bus_word(bus: Bus) -> &'static str {
    match bus {
        Bus::System => "system",
        Bus::Session => "session",
    }
}

fn names(line: &mut Line<'_>, bus: Bus) -> Result<Value, Failure> {
    let bus = bus_word(bus);
    let names = line.read_all("introspect_dbus", "names", json!({ "bus": bus }))?;
    Ok(json!({ "bus": bus, "names": names }))
}

/// All pages of a service's objects.
fn objects(line: &mut Line<'_>, options: &Introspect, service: &str) -> Result<Value, Failure> {
    let mut arguments = json!({ "bus": bus_word(options.bus), "service": service, "limit": 1000 });
    let given = [
        ("path", options.path.as_ref().map(|path| json!(path))),
        ("depth", options.depth.map(|depth| json!(depth))),
        ("objects", options.objects.map(|objects| json!(objects))),
        (
            "interface",
            options.interface.as_ref().map(|name| json!(name)),
        ),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            arguments[key] = value;
        }
    }
    let mut answer = line.call("introspect_service", arguments.clone(), Options::default())?;
    while let Some(cursor) = answer["next_cursor"].as_str() {
        arguments["cursor"] = json!(cursor);
        let mut next = line.call("introspect_service", arguments.clone(), Options::default())?;
        if let (Value::Array(more), Some(all)) =
            (next["objects"].take(), answer["objects"].as_array_mut())
        {
            all.extend(more);
        }
        answer["next_cursor"] = next["next_cursor"].take();
    }
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("next_cursor");
    }
    Ok(answer)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn name_table(answer: &Value) -> String {
    let row = |name: &Value| {
        let state = match (name["owner"].is_null(), &name["activatable"]) {
            (false, _) => "running",
            (true, Value::Bool(true)) => "can be started",
            (true, _) => "gone",
        };
        let mut row = vec![word(&name["name"]), state.to_owned()];
        row.extend(["pid", "process", "unit"].map(|key| word(&name[key])));
        row
    };
    let rows: Vec<_> = items(&answer["names"]).iter().map(row).collect();
    table(&["NAME", "STATE", "PID", "PROCESS", "UNIT"], &rows)
}

/// Interfaces that nearly every object has.
const COMMON: [&str; 3] = [
    "org.freedesktop.DBus.Introspectable",
    "org.freedesktop.DBus.Peer",
    "org.freedesktop.DBus.Properties",
];

fn tree(answer: &Value) -> String {
    let mut text = format!(
        "{} ({})\n",
        word(&answer["service"]),
        word(&answer["owner"])
    );
    for object in items(&answer["objects"]) {
        let path = word(&object["path"]);
        let depth = path.split('/').filter(|part| !part.is_empty()).count();
        let names = items(&object["interfaces"]).iter().map(word);
        let names: Vec<_> = names
            .filter(|name| !COMMON.contains(&name.as_str()))
            .collect();
        let indent = "  ".repeat(depth);
        let _ = writeln!(text, "{indent}{path}  {}", names.join(" "));
    }
    for interface in items(&answer["interfaces"]) {
        text.push_str(&definition(interface));
    }
    for cut in items(&answer["truncated"]) {
        let _ = writeln!(text, "cut off: {}", word(&cut["text"]));
    }
    for fault in items(&answer["faults"]) {
        let _ = writeln!(text, "{}: {}", word(&fault["path"]), word(&fault["text"]));
    }
    text
}

/// What an interface can do, a line a member.
fn definition(interface: &Value) -> String {
    let args = |args: &Value, direction: &str| {
        let args = items(args)
            .iter()
            .filter(|arg| arg["direction"] == direction);
        let args = args.map(|arg| match arg["name"].as_str() {
            Some(name) => format!("{} {name}", word(&arg["signature"])),
            None => word(&arg["signature"]),
        });
        args.collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("\n{}\n", word(&interface["name"]));
    for method in items(&interface["methods"]) {
        let (takes, gives) = (args(&method["args"], "in"), args(&method["args"], "out"));
        let _ = writeln!(
            text,
            "  method   {}({takes}) -> ({gives})",
            word(&method["name"])
        );
    }
    for property in items(&interface["properties"]) {
        let [name, signature, access] =
            ["name", "signature", "access"].map(|key| word(&property[key]));
        let _ = writeln!(text, "  property {name} {signature} {access}");
    }
    for signal in items(&interface["signals"]) {
        let gives = args(&signal["args"], "out");
        let _ = writeln!(text, "  signal   {}({gives})", word(&signal["name"]));
    }
    text
}

/// What a thing is known by, which stands first in its row.
const NAMING: [&str; 8] = [
    "name",
    "target",
    "path",
    "what",
    "uuid",
    "id",
    "address",
    "destination",
];

/// A report as tables: one of all that stands alone, and one for each list of things.
fn report(answer: &Value) -> String {
    let mut alone = Vec::new();
    let mut lists = Vec::new();
    collect("", answer, &mut alone, &mut lists);
    let mut text = match alone.is_empty() {
        true => String::new(),
        false => table(&["WHAT", ""], &alone),
    };
    for (name, items) in lists {
        let mut keys: Vec<&String> = items
            .first()
            .and_then(Value::as_object)
            .map(|first| first.keys().collect())
            .unwrap_or_default();
        let naming = |key: &String| NAMING.iter().position(|known| known == key);
        keys.sort_by_key(|key| naming(key).unwrap_or(NAMING.len()));
        let header: Vec<String> = keys
            .iter()
            .map(|key| key.replace('_', " ").to_uppercase())
            .collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let row = |item: &Value| keys.iter().map(|key| cell(&item[key.as_str()])).collect();
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        let _ = write!(
            text,
            "\n{}\n{}",
            name.replace('_', " "),
            table(&header, &rows)
        );
    }
    text
}

fn collect<'a>(
    name: &str,
    value: &'a Value,
    alone: &mut Vec<Vec<String>>,
    lists: &mut Vec<(String, &'a [Value])>,
) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('_', " ");
                let name = match name {
                    "" => key,
                    name => format!("{name} {key}"),
                };
                collect(&name, value, alone, lists);
            }
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            lists.push((name.to_owned(), items));
        }
        Value::Array(items) if items.is_empty() => {}
        other => alone.push(vec![name.to_owned(), cell(other)]),
    }
}

/// A value in one cell of a table.
fn cell(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(cell).collect();
            items.join(", ")
        }
        Value::Object(map) => {
            let items: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key}={}", cell(value)))
                .collect();
            items.join(" ")
        }
        other => word(other),
    }
}

/// A line or two of each part.
fn summary(all: &Value) -> String {
    let count = |value: &Value| items(value).len();
    let (hardware, software) = (&all["hardware"], &all["software"]);
    let running = items(&all["dbus"]["names"])
        .iter()
        .filter(|name| !name["owner"].is_null());
    let mut rows = vec![
        vec![
            "dbus".to_owned(),
            format!(
                "{} of {} names have an owner",
                running.count(),
                count(&all["dbus"]["names"])
            ),
        ],
        vec![
            "hardware".to_owned(),
            format!(
                "{}, {} threads, {} MiB, {} block devices, {} network cards, virtualisation {}",
                word(&hardware["processors"]["model"]),
                word(&hardware["processors"]["threads"]),
                hardware["memory"]["total_bytes"].as_u64().unwrap_or(0) >> 20,
                count(&hardware["block_devices"]),
                count(&hardware["network_cards"]),
                word(&hardware["virtualisation"]),
            ),
        ],
        vec![
            "software".to_owned(),
            format!(
                "{}, Linux {}",
                word(&software["operating_system"]["name"]),
                word(&software["kernel"]["release"])
            ),
        ],
        vec![
            "filesystems".to_owned(),
            format!(
                "{} mounts, {} of btrfs",
                count(&all["filesystems"]["mounts"]),
                count(&all["filesystems"]["btrfs"])
            ),
        ],
        vec![
            "runtime".to_owned(),
            format!(
                "{} processes, {} containers, load {}",
                word(&all["runtime"]["processes"]["total"]),
                count(&all["runtime"]["containers"]),
                cell(&all["runtime"]["load"])
            ),
        ],
        vec![
            "sessions".to_owned(),
            format!("{} sessions", count(&all["sessions"]["sessions"])),
        ],
        vec![
            "network".to_owned(),
            format!(
                "{} links, {} routes, {} listening sockets",
                count(&all["network"]["links"]),
                count(&all["network"]["routes"]),
                count(&all["network"]["listening"])
            ),
        ],
    ];
    for row in &mut rows {
        let part = &all[row[0].as_str()];
        if let Some(error) = part["error"].as_str() {
            row[1] = format!("not seen: {error}");
        } else if count(&part["unknown"]) > 0 {
            let _ = write!(
                row[1],
                "; {} things could not be found out",
                count(&part["unknown"])
            );
        }
    }
    table(&["PART", ""], &rows)
}
