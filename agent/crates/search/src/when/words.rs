//! The words of which times are made.

use jiff::civil::Weekday;

use super::Unit;

const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// `3`, `three`, `a`.
pub(super) fn number(word: &str) -> Option<i64> {
    if matches!(word, "a" | "an") {
        return Some(1);
    }
    let named = NUMBERS.iter().position(|name| *name == word);
    match named {
        Some(number) => i64::try_from(number).ok(),
        None => word
            .parse()
            .ok()
            .filter(|number| (0..100_000).contains(number)),
    }
}

/// `day`, `days`, `hrs`.
pub(super) fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "second" | "seconds" | "sec" | "secs" => Unit::Second,
        "minute" | "minutes" | "min" | "mins" => Unit::Minute,
        "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
        "day" | "days" => Unit::Day,
        "week" | "weeks" => Unit::Week,
        "month" | "months" => Unit::Month,
        "quarter" | "quarters" => Unit::Quarter,
        "year" | "years" => Unit::Year,
        _ => return None,
    })
}

/// A weekday by its name, or by its first three letters where it must be one.
pub(super) fn weekday(word: &str, short: bool) -> Option<Weekday> {
    let all = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let word = word.strip_suffix("'s").unwrap_or(word);
    let found = all
        .iter()
        .find(|(name, _)| *name == word || (short && word.len() == 3 && name.starts_with(word)));
    found.map(|(_, weekday)| *weekday)
}

/// A month by its name or its first three letters, from 1 on.
pub(super) fn month(word: &str) -> Option<i8> {
    let place = MONTHS
        .iter()
        .position(|name| *name == word || (word.len() == 3 && name.starts_with(word)));
    i8::try_from(place? + 1).ok()
}

/// A year of four digits that a ledger may know.
pub(super) fn year(word: &str) -> Option<i16> {
    let digits = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse()
        .ok()
        .filter(|year| digits && (1970..=2999).contains(year))
}
