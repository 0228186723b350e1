//! Keys and values as people say them.

use jiff::Timestamp;
use serde_json::Value;

/// Names that say the unit of their value, and are no part of what it is called.
const UNITS: [&str; 5] = ["_bytes", "_seconds", "_ms", "_s", "_mib"];
/// Words that are written in capitals.
const CAPITALS: [&str; 12] = [
    "id", "ip", "mac", "mtu", "cpu", "uid", "gid", "pid", "url", "dns", "vlan", "uuid",
];

const MIB: f64 = 1_048_576.0;

/// What a key is called above a column: its last part, without its unit.
pub fn title(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let bare = UNITS.iter().find_map(|unit| last.strip_suffix(unit));
    let words = bare.unwrap_or(last).replace(['_', '-'], " ");
    let mut words =
        words
            .split(' ')
            .enumerate()
            .map(|(place, word)| match CAPITALS.contains(&word) {
                true => word.to_uppercase(),
                false if place == 0 => {
                    let mut letters = word.chars();
                    let first = letters
                        .next()
                        .map(|letter| letter.to_uppercase().to_string());
                    first.unwrap_or_default() + letters.as_str()
                }
                false => word.to_owned(),
            });
    let first = words.next().unwrap_or_default();
    words.fold(first, |all, word| all + " " + &word)
}

/// A value as a text; its key says what it counts.
pub fn readable(key: &str, value: &Value) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(number) => of_number(last, number).unwrap_or_else(|| value.to_string()),
            None => value.to_string(),
        },
        Value::Array(list) => {
            let texts: Vec<_> = list.iter().map(|item| readable("", item)).collect();
            texts.join(", ")
        }
        Value::Object(map) => {
            let texts: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", readable(key, value)))
                .collect();
            texts.join(", ")
        }
    }
}

fn of_number(key: &str, number: f64) -> Option<String> {
    if key == "bytes" || key.ends_with("_bytes") || key == "size" {
        return Some(bytes(number));
    }
    if ["memory", "swap"].contains(&key) {
        // Fewer than a MiB of bytes nobody has: those are MiB, as sizes are written without a unit.
        let unit = if number < MIB { MIB } else { 1.0 };
        return Some(bytes(number * unit));
    }
    if key.ends_with("_mib") {
        return Some(bytes(number * MIB));
    }
    if is_time(key) {
        return time(number);
    }
    if key.ends_with("_ms") {
        return Some(duration(number / 1000.0));
    }
    if key.ends_with("_seconds") || key.ends_with("_s") {
        return Some(duration(number));
    }
    None
}

fn is_time(key: &str) -> bool {
    [
        "timestamp",
        "time",
        "created",
        "time_ms",
        "deadline_ms",
        "since",
        "until",
    ]
    .contains(&key)
        || key.ends_with("_at")
        || key.ends_with("_time")
}

/// A time in seconds, or milliseconds or microseconds where it is too large for that, to the second in UTC.
fn time(number: f64) -> Option<String> {
    let seconds = match number {
        small if small < 1e8 => return None,
        seconds if seconds < 1e11 => seconds,
        millis if millis < 1e14 => millis / 1e3,
        micros => micros / 1e6,
    };
    #[allow(clippy::cast_possible_truncation)]
    let time = Timestamp::from_second(seconds as i64).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Bytes with a unit of 1,024s and at most one digit after the point.
fn bytes(number: f64) -> String {
    let mut number = number;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    for larger in units {
        if number.abs() < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", short(number))
}

/// Seconds in the two largest units that matter.
fn duration(seconds: f64) -> String {
    match seconds {
        small if small < 1.0 => format!("{} ms", short(small * 1000.0)),
        some if some < 60.0 => format!("{} s", short(some)),
        more => {
            let minutes = (more / 60.0).floor();
            let (hours, days) = ((minutes / 60.0).floor(), (minutes / 1440.0).floor());
            match (days > 0.0, hours > 0.0) {
                (true, _) => format!("{days} d {} h", hours % 24.0),
                (_, true) => format!("{hours} h {} min", minutes % 60.0),
                _ => format!("{minutes} min {} s", (more % 60.0).floor()),
            }
        }
    }
}

/// With one digit after the point, where that is not 0.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_titles() {
        for (key, said) in [
            ("state.memory_bytes", "Memory"),
            ("made_by", "Made by"),
            ("id", "ID"),
            ("uptime_seconds", "Uptime"),
            ("plan_hash", "Plan hash"),
            ("", ""),
        ] {
            assert_eq!(title(key), said);
        }
    }

    #[test]
    fn values_are_said_in_their_unit() {
        for (key, value, said) in [
            ("size_bytes", json!(1536), "1.5 KiB"),
            ("memory_mib", json!(2048), "2 GiB"),
            ("state.memory", json!(268_435_456), "256 MiB"),
            ("swap", json!(512), "512 MiB"),
            ("swap", json!(0), "0 B"),
            ("duration_ms", json!(12), "12 ms"),
            ("uptime_seconds", json!(93_784), "1 d 2 h"),
            ("timeout_s", json!(90), "1 min 30 s"),
            ("timestamp", json!(1_767_225_600), "2026-01-01 00:00:00"),
            (
                "deadline_ms",
                json!(1_767_225_600_000_u64),
                "2026-01-01 00:00:00",
            ),
            ("count", json!(7), "7"),
            ("list", json!(["a", 2]), "a, 2"),
            ("none", json!(null), "–"),
        ] {
            assert_eq!(readable(key, &value), said, "{key}");
        }
    }
}
