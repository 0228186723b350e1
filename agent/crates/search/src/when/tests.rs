use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// A Wednesday in the last days of a year.
fn now() -> Zoned {
    "2025-12-31T15:30:00+01:00[Europe/Berlin]".parse().unwrap()
}

fn at(now: &Zoned, text: &str) -> String {
    let words: Vec<_> = text.split(' ').collect();
    let (period, taken) = find(&words, now);
    let Some(period) = period else {
        return "-".to_owned();
    };
    let show = |time: &Option<Zoned>| {
        time.as_ref().map_or(String::new(), |time| {
            time.strftime("%Y-%m-%dT%H:%M").to_string()
        })
    };
    let rest: Vec<_> = words
        .iter()
        .zip(taken)
        .filter(|(_, taken)| !taken)
        .map(|(word, _)| *word)
        .collect();
    let rest = match rest.is_empty() {
        true => String::new(),
        false => format!(" | {}", rest.join(" ")),
    };
    let text = format!("{}..{}{rest}", show(&period.since), show(&period.until));
    text.replace("T00:00", "")
}

#[test]
fn times_are_understood() {
    for (text, expected) in [
        ("today", "2025-12-31..2026-01-01"),
        ("yesterday", "2025-12-30..2025-12-31"),
        ("the day before yesterday", "2025-12-29..2025-12-30"),
        ("last night", "2025-12-30T18:00..2025-12-31T06:00"),
        ("this week", "2025-12-29..2026-01-05"),
        (
            "containers created last week",
            "2025-12-22..2025-12-29 | containers created",
        ),
        ("past week", "2025-12-24T15:30.."),
        ("the last 3 days", "2025-12-28T15:30.."),
        ("last two hours", "2025-12-31T13:30.."),
        ("last hour", "2025-12-31T14:30.."),
        ("this hour", "2025-12-31T15:00..2025-12-31T16:00"),
        ("this month", "2025-12-01..2026-01-01"),
        ("last month", "2025-11-01..2025-12-01"),
        ("this quarter", "2025-10-01..2026-01-01"),
        ("last quarter", "2025-07-01..2025-10-01"),
        ("last year", "2024-01-01..2025-01-01"),
        ("3 days ago", "2025-12-28..2025-12-29"),
        ("a week ago", "2025-12-22..2025-12-29"),
        ("two months ago", "2025-10-01..2025-11-01"),
        ("an hour ago", "2025-12-31T14:00..2025-12-31T15:00"),
        ("since 3 days ago", "2025-12-28.."),
        ("since monday", "2025-12-29.."),
        ("since wednesday", "2025-12-31.."),
        ("last wednesday", "2025-12-24..2025-12-25"),
        ("monday", "2025-12-29..2025-12-30"),
        ("on fri", "2025-12-26..2025-12-27"),
        ("before 2026-02", "..2026-02-01"),
        ("after 2025-02", "2025-03-01.."),
        ("until 2025-02-03", "..2025-02-04"),
        ("2026-01..2026-03", "2026-01-01..2026-04-01"),
        ("2025-12-01..", "2025-12-01.."),
        ("..yesterday", "-"),
        ("from 2025-01-05 to 2025-01-07", "2025-01-05..2025-01-08"),
        ("between monday and today", "2025-12-29..2026-01-01"),
        ("2026-w01", "2025-12-29..2026-01-05"),
        ("2020-w53", "2020-12-28..2021-01-04"),
        ("2025-q4", "2025-10-01..2026-01-01"),
        ("in 2024", "2024-01-01..2025-01-01"),
        ("port 2024", "-"),
        ("in march", "2025-03-01..2025-04-01"),
        ("may", "-"),
        ("in may", "2025-05-01..2025-06-01"),
        ("march 2024", "2024-03-01..2024-04-01"),
        ("5 march", "2025-03-05..2025-03-06"),
        ("on march 5th 2024", "2024-03-05..2024-03-06"),
        ("29 february", "2024-02-29..2024-03-01"),
        ("2025-12-31t12:00", "2025-12-31T12:00..2025-12-31T12:01"),
        ("2025-12-31t11:00:00z", "2025-12-31T12:00..2025-12-31T12:00"),
        ("since monday before today", "2025-12-29..2025-12-31"),
        ("2025-02-30", "-"),
        ("99999 years ago", "-"),
        ("in web-01", "-"),
        ("a container", "-"),
        ("", "-"),
    ] {
        assert_eq!(at(&now(), text), expected, "{text}");
    }
}

#[test]
fn days_are_as_long_as_the_clocks_make_them() {
    let after: Zoned = "2026-03-30T09:00:00+02:00[Europe/Berlin]".parse().unwrap();
    let (period, _) = find(&["yesterday"], &after);
    let (first, last) = period.unwrap().seconds();
    assert_eq!(last.unwrap() - first.unwrap() + 1, 23 * 3600);
    // At midnight there is no midnight on that day.
    let cairo: Zoned = "2026-04-24T09:00:00+03:00[Africa/Cairo]".parse().unwrap();
    assert_eq!(at(&cairo, "today"), "2026-04-24T01:00..2026-04-25");
}

#[test]
fn no_moment_is_in_a_period_that_ends_before_it_begins() {
    let (period, _) = find(&["since", "today", "before", "yesterday"], &now());
    assert!(period.unwrap().is_empty());
}

fn any_now() -> impl Strategy<Value = Zoned> {
    let zones = prop_oneof![
        Just("UTC"),
        Just("Europe/Berlin"),
        Just("America/New_York"),
        Just("Australia/Lord_Howe"),
        Just("Pacific/Apia"),
        Just("Asia/Kathmandu"),
    ];
    (0..7_258_118_400_i64, zones).prop_map(|(second, zone)| {
        let zone = TimeZone::get(zone).unwrap();
        Timestamp::from_second(second).unwrap().to_zoned(zone)
    })
}

fn period(text: &str, now: &Zoned) -> (Zoned, Zoned) {
    let words: Vec<_> = text.split(' ').collect();
    let period = find(&words, now).0.unwrap();
    (period.since.unwrap(), period.until.unwrap())
}

proptest! {
    #[test]
    fn this_and_last_meet_and_now_is_in_this(now in any_now()) {
        for unit in ["week", "month", "quarter", "year"] {
            let this = period(&format!("this {unit}"), &now);
            let last = period(&format!("last {unit}"), &now);
            prop_assert_eq!(&last.1, &this.0, "{}", unit);
            prop_assert!(this.0 <= now && now < this.1, "{}", unit);
            prop_assert!(last.0 < last.1);
        }
        prop_assert_eq!(period("yesterday", &now).1, period("today", &now).0);
        prop_assert_eq!(period("1 day ago", &now), period("yesterday", &now));
    }

    #[test]
    fn weeks_are_those_of_the_calendar(now in any_now()) {
        let week = now.date().iso_week_date();
        let named = format!("{:04}-w{:02}", week.year(), week.week());
        prop_assume!(week.year() >= 1970);
        prop_assert_eq!(period(&named, &now), period("this week", &now));
    }

    #[test]
    fn a_range_of_days_has_all_their_seconds(now in any_now(), length in 0..40_i64) {
        let end = now.date();
        let begin = end.checked_sub(length.days()).unwrap();
        prop_assume!(begin.year() >= 1970);
        let range = period(&format!("{begin}..{end}"), &now);
        prop_assert_eq!(range.0, period(&begin.to_string(), &now).0);
        prop_assert_eq!(range.1, period("today", &now).1);
    }

    #[test]
    fn no_words_are_too_odd(
        words in proptest::collection::vec(
            prop_oneof![
                ".{0,12}", "[0-9]{1,12}", "[0-9]{4}-[WQ]?[0-9]{1,3}", "[0-9.:-]{1,20}",
                Just("last".to_owned()), Just("since".to_owned()), Just("the".to_owned()), Just("ago".to_owned()),
                Just("weeks".to_owned()), Just("from".to_owned()), Just("to".to_owned()), Just("march".to_owned()),
                Just("a".to_owned()), Just("years".to_owned()), Just("..".to_owned()),
            ],
            0..8,
        ),
        now in any_now(),
    ) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (period, taken) = find(&words, &now);
        prop_assert_eq!(period.is_some(), taken.contains(&true));
        if let Some(period) = period {
            period.seconds();
        }
    }
}
