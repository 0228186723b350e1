//! Times as people say them: `yesterday`, `since Monday`, `2026-01..2026-03`.

use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::{Span, Timestamp, ToSpan, Zoned};

mod words;

/// A part of time: from `since` until before `until`; an end that is not there is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The first moment in it.
    pub since: Option<Zoned>,
    /// The first moment after it.
    pub until: Option<Zoned>,
}

impl Period {
    const EVER: Self = Self {
        since: None,
        until: None,
    };

    fn new(since: Zoned, until: Zoned) -> Self {
        Self {
            since: Some(since),
            until: Some(until),
        }
    }

    /// What is in both.
    fn and(self, other: Self) -> Self {
        let later = |one: Option<Zoned>, other: Option<Zoned>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        let earlier = |one: Option<Zoned>, other: Option<Zoned>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            since: later(self.since, other.since),
            until: earlier(self.until, other.until),
        }
    }

    /// Whether no moment is in it.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        matches!((&self.since, &self.until), (Some(since), Some(until)) if since >= until)
    }

    /// The whole seconds since 1970-01-01 UTC that begin in it: the first, and the last.
    pub fn seconds(&self) -> (Option<i64>, Option<i64>) {
        let ceiling = |time: &Zoned| {
            let time = time.timestamp();
            time.as_second() + i64::from(time.subsec_nanosecond() > 0)
        };
        let first = self.since.as_ref().map(ceiling);
        let last = self.until.as_ref().map(|until| ceiling(until) - 1);
        (first, last)
    }
}

/// Finds the words of time in a question. Gives the period that all of them leave, if there are any, and which of
/// the words they are. `words` are in lower case, without punctuation at their ends.
pub fn find(words: &[&str], now: &Zoned) -> (Option<Period>, Vec<bool>) {
    let mut taken = vec![false; words.len()];
    let mut all: Option<Period> = None;
    let mut at = 0;
    while at < words.len() {
        match phrase(&words[at..], now) {
            Some((period, length)) => {
                all = Some(all.unwrap_or(Period::EVER).and(period));
                taken[at..at + length].fill(true);
                at += length;
            }
            None => at += 1,
        }
    }
    (all, taken)
}

/// A period at the beginning of the words, and how many of them it takes.
fn phrase(words: &[&str], now: &Zoned) -> Option<(Period, usize)> {
    let (first, rest) = words.split_first()?;
    let after = |length: usize| rest.get(length).copied();
    match *first {
        "since" => {
            let (period, length) = said(rest, now, true)?;
            let open = Period {
                until: None,
                ..period
            };
            Some((open, length + 1))
        }
        "after" => {
            let (period, length) = said(rest, now, true)?;
            let open = Period {
                since: period.until,
                until: None,
            };
            Some((open, length + 1))
        }
        "before" => {
            let (period, length) = said(rest, now, true)?;
            let open = Period {
                since: None,
                until: period.since,
            };
            Some((open, length + 1))
        }
        "until" | "till" => {
            let (period, length) = said(rest, now, true)?;
            let open = Period {
                since: None,
                ..period
            };
            Some((open, length + 1))
        }
        "from" | "between" => {
            let (begin, length) = said(rest, now, true)?;
            if !matches!(after(length), Some("to" | "until" | "till" | "and")) {
                return (*first == "from").then_some((begin, length + 1));
            }
            let (end, more) = said(&rest[length + 1..], now, true)?;
            Some((through(begin, end), length + more + 2))
        }
        "in" | "on" | "at" | "during" | "of" | "for" => {
            let (period, length) = said(rest, now, true)?;
            Some((period, length + 1))
        }
        _ => said(words, now, false),
    }
}

/// From the beginning of one to the end of the other.
fn through(begin: Period, end: Period) -> Period {
    Period {
        since: begin.since,
        until: end.until,
    }
}

/// A period without a word before it that says how it is meant; `led` where there was one, so that `2026` is a year
/// and `may` a month.
fn said(words: &[&str], now: &Zoned, led: bool) -> Option<(Period, usize)> {
    if let [article @ ("the" | "a" | "an"), rest @ ..] = words {
        if let Some((period, length)) = ago(words, now) {
            return Some((period, length));
        }
        let (period, length) = said(rest, now, led)?;
        return (*article == "the").then_some((period, length + 1));
    }
    if let Some((begin, end)) = words.first()?.split_once("..") {
        let side = |text: &str| date(text, now, true);
        let period = match (begin, end.trim_start_matches('.')) {
            ("", "") => return None,
            ("", end) => Period {
                since: None,
                ..side(end)?
            },
            (begin, "") => Period {
                until: None,
                ..side(begin)?
            },
            (begin, end) => through(side(begin)?, side(end)?),
        };
        return Some((period, 1));
    }
    day_word(words, now)
        .or_else(|| relative(words, now))
        .or_else(|| ago(words, now))
        .or_else(|| named(words, now, led))
        .or_else(|| Some((date(words.first()?, now, led)?, 1)))
}

/// `today`, `yesterday`, `last night` and their like.
fn day_word(words: &[&str], now: &Zoned) -> Option<(Period, usize)> {
    let today = now.date();
    let hours = |date: Date, from: i8, length: i64| {
        let begin = zoned(date.at(from, 0, 0, 0), now)?;
        let end = zoned(
            date.at(from, 0, 0, 0).checked_add(length.hours()).ok()?,
            now,
        )?;
        Some(Period::new(begin, end))
    };
    let before = |days: i64| today.checked_sub(days.days()).ok();
    match words {
        ["day", "before", "yesterday", ..] => Some((days(before(2)?, 1, now)?, 3)),
        ["week", "before", "last", ..] => Some((unit(Unit::Week, 2, now)?, 3)),
        ["month", "before", "last", ..] => Some((unit(Unit::Month, 2, now)?, 3)),
        ["today" | "tonight", ..] => Some((days(today, 1, now)?, 1)),
        ["yesterday", "morning", ..] => Some((hours(before(1)?, 0, 12)?, 2)),
        ["yesterday", "afternoon", ..] => Some((hours(before(1)?, 12, 6)?, 2)),
        ["yesterday", "evening", ..] => Some((hours(before(1)?, 18, 6)?, 2)),
        ["yesterday", ..] => Some((days(before(1)?, 1, now)?, 1)),
        ["last", "night", ..] => Some((hours(before(1)?, 18, 12)?, 2)),
        ["this", "morning", ..] => Some((hours(today, 0, 12)?, 2)),
        ["this", "afternoon", ..] => Some((hours(today, 12, 6)?, 2)),
        ["this", "evening", ..] => Some((hours(today, 18, 6)?, 2)),
        _ => None,
    }
}

/// `last week`, `this month`, `last 3 days`.
fn relative(words: &[&str], now: &Zoned) -> Option<(Period, usize)> {
    let (which, rest) = words.split_first()?;
    let past = matches!(*which, "last" | "past" | "previous" | "recent");
    if !past && !matches!(*which, "this" | "current") {
        return None;
    }
    let (next, after) = rest.split_first()?;
    if past
        && let Some(count) = words::number(next)
        && let Some(what) = words::unit(after.first()?)
    {
        return Some((back(what, count, now)?, 3));
    }
    if past && let Some(weekday) = words::weekday(next, true) {
        return Some((days(latest(weekday, now, false)?, 1, now)?, 2));
    }
    if *which == "last"
        && let Some(month) = words::month(next)
    {
        return Some((latest_month(month, now)?, 2));
    }
    let what = words::unit(next)?;
    let period = match (what, *which) {
        // The last hour is the one that just went by, and so are the past days of a week.
        (Unit::Minute | Unit::Hour | Unit::Day | Unit::Second, "last") | (_, "past" | "recent") => {
            back(what, 1, now)?
        }
        (_, "last" | "previous") => unit(what, 1, now)?,
        _ => unit(what, 0, now)?,
    };
    Some((period, 2))
}

/// `3 days ago`: that day; `an hour ago`: half an hour around it.
fn ago(words: &[&str], now: &Zoned) -> Option<(Period, usize)> {
    let [count, what, "ago", ..] = words else {
        return None;
    };
    let count = words::number(count)?;
    let what = words::unit(what)?;
    let period = match what {
        Unit::Second | Unit::Minute | Unit::Hour => {
            let then = now.checked_sub(what.span(count)?).ok()?;
            let half = match what {
                Unit::Hour => 30.minutes(),
                _ => 1.minutes(),
            };
            Period::new(then.checked_sub(half).ok()?, then.checked_add(half).ok()?)
        }
        _ => unit(what, count, now)?,
    };
    Some((period, 3))
}

/// Weekdays and months: `Monday`, `March`, `5 March 2026`, `March 5th`.
fn named(words: &[&str], now: &Zoned, led: bool) -> Option<(Period, usize)> {
    if let Some(weekday) = words::weekday(words.first()?, led) {
        return Some((days(latest(weekday, now, led)?, 1, now)?, 1));
    }
    let ordinal = |word: &str| -> Option<i8> {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        matches!(&word[digits.len()..], "" | "st" | "nd" | "rd" | "th").then_some(())?;
        digits.parse().ok().filter(|day| (1..=31).contains(day))
    };
    let (month, day, mut length) = match words {
        [day, month, ..] if ordinal(day).is_some() && words::month(month).is_some() => {
            (*month, ordinal(day), 2)
        }
        [month, day, ..] if ordinal(day).is_some() => (*month, ordinal(day), 2),
        [month, ..] => (*month, None, 1),
        [] => return None,
    };
    let number = words::month(month)?;
    let year = words.get(length).and_then(|word| words::year(word));
    if year.is_some() {
        length += 1;
    } else if day.is_none() && !led && matches!(month, "may" | "march") {
        // Verbs, where nothing says that they are months.
        return None;
    }
    let period = match (day, year) {
        (None, None) => latest_month(number, now)?,
        (None, Some(year)) => months(Date::new(year, number, 1).ok()?, 1, now)?,
        (Some(day), Some(year)) => days(Date::new(year, number, day).ok()?, 1, now)?,
        (Some(day), None) => {
            let this = now.year();
            let of = |year: i16| Date::new(year, number, day).ok();
            let past = (0..8).filter_map(|back| of(this.checked_sub(back)?));
            days(past.into_iter().find(|date| *date <= now.date())?, 1, now)?
        }
    };
    Some((period, length))
}

/// `2026-03-05`, `2026-03`, `2026-W09`, `2026-Q1`, `2026-03-05T12:00`; `2026` only where it is `led`.
fn date(text: &str, now: &Zoned, led: bool) -> Option<Period> {
    let text = text.to_ascii_uppercase();
    if let Some((year, rest)) = text.split_once('-')
        && let Some(year) = words::year(year)
    {
        if let Some(week) = rest.strip_prefix('W') {
            let monday = ISOWeekDate::new(year, week.parse().ok()?, Weekday::Monday).ok()?;
            return days(monday.date(), 7, now);
        }
        if let Some(quarter) = rest.strip_prefix('Q') {
            let quarter: i8 = quarter
                .parse()
                .ok()
                .filter(|quarter| (1..=4).contains(quarter))?;
            return months(Date::new(year, quarter * 3 - 2, 1).ok()?, 3, now);
        }
        if rest.len() == 2 {
            return months(Date::new(year, rest.parse().ok()?, 1).ok()?, 1, now);
        }
    }
    if led && let Some(year) = words::year(&text) {
        return months(Date::new(year, 1, 1).ok()?, 12, now);
    }
    if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
    {
        return days(date, 1, now);
    }
    // A moment stands for the minute or the second that it names.
    if !text.contains('T') {
        return None;
    }
    let begin = match text.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(now.time_zone().clone()),
        Err(_) => zoned(text.parse::<DateTime>().ok()?, now)?,
    };
    let length = match text.matches(':').count() {
        0 => 1.hours(),
        1 => 1.minutes(),
        _ => 1.seconds(),
    };
    let end = begin.checked_add(length).ok()?;
    Some(Period::new(begin, end))
}

/// The latest such weekday: today only where the period goes on from there.
fn latest(weekday: Weekday, now: &Zoned, today: bool) -> Option<Date> {
    let date = now.date();
    if today && date.weekday() == weekday {
        return Some(date);
    }
    date.nth_weekday(-1, weekday).ok()
}

/// The latest such month that has begun.
fn latest_month(month: i8, now: &Zoned) -> Option<Period> {
    let year = now.year() - i16::from(month > now.month());
    months(Date::new(year, month, 1).ok()?, 1, now)
}

/// A length of time that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn span(self, count: i64) -> Option<Span> {
        let span = Span::new();
        let span = match self {
            Self::Second => span.try_seconds(count),
            Self::Minute => span.try_minutes(count),
            Self::Hour => span.try_hours(count),
            Self::Day => span.try_days(count),
            Self::Week => span.try_weeks(count),
            Self::Month => span.try_months(count),
            Self::Quarter => span.try_months(count.checked_mul(3)?),
            Self::Year => span.try_years(count),
        };
        span.ok()
    }
}

/// The last `count` units up to now.
fn back(what: Unit, count: i64, now: &Zoned) -> Option<Period> {
    Some(Period {
        since: Some(now.checked_sub(what.span(count)?).ok()?),
        until: None,
    })
}

/// The unit of the calendar or clock that lies `back` units before the one that it is now.
fn unit(what: Unit, back: i64, now: &Zoned) -> Option<Period> {
    let today = now.date();
    let month = today.first_of_month();
    let (first, count) = match what {
        Unit::Second | Unit::Minute | Unit::Hour => {
            let step = match what {
                Unit::Second => jiff::Unit::Second,
                Unit::Minute => jiff::Unit::Minute,
                _ => jiff::Unit::Hour,
            };
            let floor = jiff::ZonedRound::new()
                .smallest(step)
                .mode(jiff::RoundMode::Trunc);
            let begin = now.round(floor).ok()?.checked_sub(what.span(back)?).ok()?;
            let end = begin.checked_add(what.span(1)?).ok()?;
            return Some(Period::new(begin, end));
        }
        Unit::Day => return days(today.checked_sub(what.span(back)?).ok()?, 1, now),
        Unit::Week => {
            let monday = today
                .checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days())
                .ok()?;
            return days(monday.checked_sub(what.span(back)?).ok()?, 7, now);
        }
        Unit::Month => (month, 1),
        Unit::Quarter => (
            month
                .checked_sub(i64::from((today.month() - 1) % 3).months())
                .ok()?,
            3,
        ),
        Unit::Year => (today.first_of_year(), 12),
    };
    months(first.checked_sub(what.span(back)?).ok()?, count, now)
}

/// So many days from a date on.
fn days(date: Date, count: i64, now: &Zoned) -> Option<Period> {
    stretch(date, count.days(), now)
}

/// So many months from a date on.
fn months(date: Date, count: i64, now: &Zoned) -> Option<Period> {
    stretch(date, count.months(), now)
}

fn stretch(date: Date, length: Span, now: &Zoned) -> Option<Period> {
    let end = date.checked_add(length).ok()?;
    Some(Period::new(
        zoned(date.into(), now)?,
        zoned(end.into(), now)?,
    ))
}

/// A time by the clocks of this zone; where they leave it out or have it twice, the one that RFC 5545 takes.
fn zoned(time: DateTime, now: &Zoned) -> Option<Zoned> {
    time.to_zoned(now.time_zone().clone()).ok()
}

#[cfg(test)]
mod tests;
