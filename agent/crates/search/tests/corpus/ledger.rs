//! A ledger of four months as a small team would write it: made by a simple generator with a fixed seed, so that it is
//! the same everywhere, with the entries of `needles.tsv` among them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, ToSpan, Zoned};
use search::entries::Record;
use serde_json::{Value, json};

const NEEDLES: &str = include_str!("needles.tsv");
const QUESTIONS: &str = include_str!("ledger-questions.tsv");

/// How many entries the generator makes for the questions.
pub(crate) const ENTRIES: usize = 3_400;

/// When the questions are asked.
pub(crate) fn now() -> Zoned {
    "2026-03-18T15:00:00+01:00[Europe/Berlin]".parse().unwrap()
}

/// A linear congruential generator (Knuth, MMIX).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len())]
    }
}

const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "ci-runner", "op-dbusd"];
const ROLES: [&str; 8] = [
    "web", "db", "app", "cache", "queue", "build", "mail", "proxy",
];
const UNITS: [&str; 12] = [
    "nginx.service",
    "haproxy.service",
    "postgresql.service",
    "redis.service",
    "postfix.service",
    "sshd.service",
    "node-exporter.service",
    "logrotate.timer",
    "systemd-networkd.service",
    "rsyslog.service",
    "grafana.service",
    "docker.socket",
];
const PACKAGES: [&str; 14] = [
    "curl",
    "git",
    "vim",
    "htop",
    "tcpdump",
    "python3",
    "nginx",
    "haproxy",
    "redis-server",
    "tzdata",
    "base-files",
    "libc6",
    "ca-certificates",
    "zstd",
];
const FILES: [&str; 10] = [
    "/etc/hosts",
    "/etc/motd",
    "/etc/nginx/nginx.conf",
    "/etc/haproxy/haproxy.cfg",
    "/etc/logrotate.d/app",
    "/srv/app/config.yaml",
    "/srv/www/index.html",
    "/etc/fstab",
    "/etc/apt/sources.list",
    "/etc/environment",
];
const TEMPLATES: [&str; 4] = ["debian-12", "alpine-3.21", "ubuntu-24.04", "busybox"];
const REASONS: [&str; 12] = [
    "routine",
    "asked for by support",
    "weekly maintenance",
    "new customer",
    "test of the release",
    "load is high",
    "ticket 4711",
    "cleaning up",
    "as discussed",
    "tuning",
    "moved from another host",
    "demonstration",
];
const ERRORS: [&str; 10] = [
    "timed out after 30 s",
    "unit not found",
    "the container is not running",
    "exit status 1",
    "device or resource busy",
    "temporary failure in name resolution",
    "the lock is held by another run",
    "no such file or directory",
    "invalid argument",
    "interrupted by a signal",
];

fn container(dice: &mut Dice) -> String {
    format!("{}-{:02}", dice.pick(&ROLES), dice.roll(9) + 1)
}

/// What was done: operation, target, arguments.
fn work(dice: &mut Dice) -> (&'static str, String, Value) {
    let reason = dice.pick(&REASONS);
    let pick = |dice: &mut Dice, list: &[&str]| dice.pick(list).to_owned();
    match dice.roll(40) {
        0..=4 => (
            "container_create",
            container(dice),
            json!({ "template": dice.pick(&TEMPLATES), "memory": "1G" }),
        ),
        5..=8 => ("container_start", container(dice), json!({})),
        9..=11 => (
            "container_stop",
            container(dice),
            json!({ "reason": reason }),
        ),
        12..=13 => (
            "container_destroy",
            container(dice),
            json!({ "reason": reason }),
        ),
        14..=16 => (
            "container_exec",
            container(dice),
            json!({ "command": [dice.pick(&["ls", "uptime", "df", "ps"]), "-h"] }),
        ),
        17..=20 => (
            "systemd_restart_unit",
            pick(dice, &UNITS),
            json!({ "reason": reason }),
        ),
        21 => (
            "systemd_stop_unit",
            pick(dice, &UNITS),
            json!({ "reason": reason }),
        ),
        22 => ("systemd_start_unit", pick(dice, &UNITS), json!({})),
        23 => ("systemd_reload_unit", pick(dice, &UNITS), json!({})),
        24..=27 => (
            "package_update",
            pick(dice, &PACKAGES),
            json!({ "version": format!("{}.{}", dice.roll(9), dice.roll(30)) }),
        ),
        28..=30 => (
            "file_write",
            pick(dice, &FILES),
            json!({ "reason": reason, "mode": "0644" }),
        ),
        31 => ("template_build", pick(dice, &TEMPLATES), json!({})),
        32 => (
            "flow_create",
            format!("br0/rule-{}", dice.roll(40)),
            json!({ "match": "ip", "actions": "normal" }),
        ),
        33 => (
            "ovs_port_create",
            format!("sock_{}", container(dice)),
            json!({ "bridge": "br0" }),
        ),
        34 => (
            "address_create",
            format!("10.7.0.{}/24", dice.roll(250)),
            json!({ "link": "br0" }),
        ),
        35..=36 => (
            "apply_begin",
            "host".to_owned(),
            json!({ "changes": dice.roll(9) }),
        ),
        37..=38 => (
            "apply_end",
            "host".to_owned(),
            json!({ "duration": dice.roll(900) }),
        ),
        _ => (
            "subvolume_create",
            format!("@work-{}", dice.roll(30)),
            json!({}),
        ),
    }
}

/// So many generated entries over the four months before a time, without ids, by time.
pub(crate) fn generated(count: usize, now: &Zoned, dice: &mut Dice) -> Vec<Record> {
    let span = 120 * 86_400;
    let begin = now.timestamp().as_second() - span;
    let one = |number: usize| {
        let (operation, target, arguments) = work(dice);
        let mut metadata = json!({
            "actor": { "name": dice.pick(&PEOPLE), "door": dice.pick(&["cli", "mcp", "web"]) },
            "effect": "write",
            "arguments": arguments,
            "duration_ms": dice.roll(4000),
            "outcome": "done",
        });
        match dice.roll(40) {
            0..=1 => {
                metadata["outcome"] = json!("failed");
                metadata["error"] = json!(dice.pick(&ERRORS));
            }
            2 => metadata["outcome"] = json!("refused"),
            _ => {}
        }
        let share = i64::try_from(number).unwrap() * span / i64::try_from(count).unwrap();
        Record {
            id: 0,
            timestamp: begin + share,
            operation: operation.to_owned(),
            target,
            metadata,
        }
    };
    (0..count).map(one).collect()
}

/// Lines of fields, without comments.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split('\t').collect())
}

/// The corpus, and under which ids the needles are.
pub(crate) fn corpus() -> (Vec<Record>, BTreeMap<&'static str, i64>) {
    let now = now();
    let mut all: Vec<(Record, Option<&str>)> = generated(ENTRIES, &now, &mut Dice::new(1))
        .into_iter()
        .map(|record| (record, None))
        .collect();
    for fields in lines(NEEDLES) {
        let [
            key,
            days,
            time,
            actor,
            operation,
            target,
            outcome,
            arguments,
            error,
        ] = fields.as_slice()
        else {
            panic!("a needle has nine fields: {fields:?}");
        };
        let (hour, minute) = time.split_once(':').unwrap();
        let day = now
            .start_of_day()
            .unwrap()
            .checked_sub(days.parse::<i64>().unwrap().days())
            .unwrap();
        let minutes = hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap();
        let time = day.checked_add(SignedDuration::from_mins(minutes)).unwrap();
        let mut metadata = json!({
            "actor": { "name": actor },
            "outcome": outcome,
            "arguments": serde_json::from_str::<Value>(arguments).unwrap(),
        });
        if !error.is_empty() {
            metadata["error"] = json!(error);
        }
        let record = Record {
            id: 0,
            timestamp: time.timestamp().as_second(),
            operation: (*operation).to_owned(),
            target: (*target).to_owned(),
            metadata,
        };
        all.push((record, Some(key)));
    }
    all.sort_by_key(|(record, _)| record.timestamp);
    let mut keys = BTreeMap::new();
    let mut records = Vec::new();
    for (id, (record, key)) in (0..).zip(all) {
        if let Some(key) = key {
            assert_eq!(keys.insert(key, id), None, "{key}");
        }
        records.push(Record { id, ..record });
    }
    (records, keys)
}

/// The questions, each with the ids of all entries that answer it.
pub(crate) fn questions(
    records: &[Record],
    keys: &BTreeMap<&'static str, i64>,
) -> Vec<(&'static str, Vec<i64>)> {
    let of = |fields: Vec<&'static str>| {
        let right: Vec<i64> = match fields[1].strip_prefix('?') {
            Some(conditions) => records
                .iter()
                .filter(|record| meets(record, conditions))
                .map(|record| record.id)
                .collect(),
            None => fields[1].split(' ').map(|key| keys[key]).collect(),
        };
        assert!(!right.is_empty(), "nothing answers {:?}", fields[0]);
        (fields[0], right)
    };
    lines(QUESTIONS).map(of).collect()
}

fn meets(record: &Record, conditions: &str) -> bool {
    let zone = now().time_zone().clone();
    let time = jiff::Timestamp::from_second(record.timestamp).unwrap();
    let date = time.to_zoned(zone).date().to_string();
    conditions.split(' ').all(|condition| {
        let (what, value) = condition.split_once('=').unwrap();
        match what {
            "operation" => record.operation == value,
            "target" => record.target == value,
            "actor" => record.actor() == Some(value),
            "outcome" => record.outcome() == Some(value),
            "from" => date.as_str() >= value,
            "to" => date.as_str() <= value,
            other => panic!("no such condition: {other}"),
        }
    })
}

/// How well questions are answered: the means of recall among five, and of one over the rank of the first right one.
pub(crate) fn grades(
    questions: &[(&str, Vec<i64>)],
    mistyped: bool,
    search: impl Fn(&str) -> Vec<i64>,
) -> (f64, f64) {
    let (mut recall, mut rank) = (0.0, 0.0);
    for (question, right) in questions {
        let found = match mistyped {
            true => search(&self::mistyped(question)),
            false => search(question),
        };
        let among = found.iter().take(5).filter(|id| right.contains(id)).count();
        recall += among as f64 / right.len().min(5) as f64;
        let first = found.iter().position(|id| right.contains(id));
        rank += first.map_or(0.0, |first| 1.0 / (first as f64 + 1.0));
    }
    let count = questions.len() as f64;
    (recall / count, rank / count)
}

/// The same question with a typing error in its longest word: two letters in its middle have changed places.
pub(crate) fn mistyped(question: &str) -> String {
    let longest = question.split(' ').max_by_key(|word| word.len()).unwrap();
    let mut letters: Vec<char> = longest.chars().collect();
    let middle = letters.len() / 2;
    letters.swap(middle - 1, middle);
    question.replacen(longest, &letters.into_iter().collect::<String>(), 1)
}
