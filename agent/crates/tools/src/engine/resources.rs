//! How busy the machine was over the last hours.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// How far apart the samples are that are kept.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(30);
/// How many are kept: those of six hours.
const KEPT: usize = 720;

/// Samples of the machine's resources, as far as this process has taken any.
#[derive(Debug, Default)]
pub struct Resources(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    samples: VecDeque<Sample>,
    /// What the processors had done when the last sample was taken.
    ticks: Option<Ticks>,
}

/// What was measured at one time. What the kernel did not say is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// How busy the processors were since the sample before, in percent of all of them.
    pub processors: Option<f64>,
    /// How much memory is taken, in percent.
    pub memory: Option<f64>,
    /// How many tasks ran or waited, on average over the last minute.
    pub load: Option<f64>,
}

/// What the processors have done since the machine started, in ticks (proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// What of /proc a sample is made from.
struct Proc {
    stat: String,
    meminfo: String,
    loadavg: String,
}

impl Resources {
    /// Takes a sample, and keeps it. To be called every [`SAMPLE_EVERY`].
    pub fn sample(&self) {
        self.keep(Timestamp::now().as_millisecond(), &Proc::read());
    }

    /// The samples that were kept since a time in milliseconds, oldest first, and how it is now.
    pub fn since(&self, time_ms: i64) -> Vec<Sample> {
        self.and_now(time_ms, Timestamp::now().as_millisecond(), &Proc::read())
    }

    fn keep(&self, now_ms: i64, proc: &Proc) {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sample, ticks) = proc.sample(now_ms, past.ticks);
        past.ticks = ticks;
        if past.samples.len() == KEPT {
            past.samples.pop_front();
        }
        past.samples.push_back(sample);
    }

    fn and_now(&self, since_ms: i64, now_ms: i64, proc: &Proc) -> Vec<Sample> {
        let past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, _) = proc.sample(now_ms, past.ticks);
        let kept = past.samples.iter().copied();
        // A clock that was set back would make the line of time run backwards.
        kept.filter(|sample| (since_ms..now_ms).contains(&sample.time_ms))
            .chain([now])
            .collect()
    }
}

impl Proc {
    fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/{name}")).unwrap_or_default();
        Self {
            stat: text("stat"),
            meminfo: text("meminfo"),
            loadavg: text("loadavg"),
        }
    }

    fn sample(&self, time_ms: i64, before: Option<Ticks>) -> (Sample, Option<Ticks>) {
        let ticks = self.ticks();
        let sample = Sample {
            time_ms,
            processors: before
                .zip(ticks)
                .and_then(|(before, now)| now.since(before)),
            memory: self.memory(),
            load: self
                .loadavg
                .split(' ')
                .next()
                .and_then(|word| word.parse().ok()),
        };
        (sample, ticks)
    }

    fn ticks(&self) -> Option<Ticks> {
        let line = self
            .stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            // The last two, of guests, are in the first two too.
            .take(8)
            .map_while(|word| word.parse().ok())
            .collect();
        let all = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Ticks {
            busy: all - idle,
            all,
        })
    }

    fn memory(&self) -> Option<f64> {
        let of = |key: &str| -> Option<f64> {
            let mut lines = self.meminfo.lines();
            let line = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let (all, free) = (of("MemTotal")?, of("MemAvailable")?);
        (all > 0.0).then(|| percent((all - free) / all))
    }
}

impl Ticks {
    fn since(self, before: Self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        let (busy, all) = (
            self.busy.saturating_sub(before.busy) as f64,
            self.all.saturating_sub(before.all) as f64,
        );
        (all > 0.0).then(|| percent(busy / all))
    }
}

/// With one digit behind the point.
fn percent(part: f64) -> f64 {
    (part * 1000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(stat: &str) -> Proc {
        Proc {
            stat: stat.to_owned(),
            meminfo: "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n".to_owned(),
            loadavg: "0.52 0.48 0.40 1/300 4000\n".to_owned(),
        }
    }

    #[test]
    fn processors_are_busy_by_the_ticks_in_between() {
        let resources = Resources::default();
        resources.keep(1000, &proc("cpu  100 0 100 800 0 0 0 0 7 7\ncpu0 1 1\n"));
        let found = resources.and_now(0, 2000, &proc("cpu  150 0 100 850 0 0 0 0 99 9\n"));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].processors, None);
        let now = Sample {
            time_ms: 2000,
            processors: Some(50.0),
            memory: Some(75.0),
            load: Some(0.52),
        };
        assert_eq!(found[1], now);
    }

    #[test]
    fn six_hours_are_kept_and_no_more_than_asked_for_is_told() {
        let resources = Resources::default();
        for n in 0..1000 {
            resources.keep(n * 30_000, &proc(""));
        }
        let now = 1000 * 30_000;
        assert_eq!(resources.and_now(0, now, &proc("")).len(), KEPT + 1);
        assert_eq!(resources.and_now(now - 60_000, now, &proc("")).len(), 3);
        // The clock was set back to the middle of what is kept.
        assert_eq!(
            resources.and_now(0, 500 * 30_000, &proc("")).len(),
            KEPT - 500 + 1
        );
    }

    #[test]
    fn what_the_kernel_does_not_say_is_missing() {
        for stat in ["", "cpu \n", "cpu  1 2\n", "cpu  a b c d e f g h\n"] {
            let nothing = Proc {
                stat: stat.to_owned(),
                meminfo: "MemTotal: 0 kB\nMemAvailable: 0 kB\n".to_owned(),
                loadavg: String::new(),
            };
            let found = Resources::default().and_now(0, 1, &nothing);
            assert_eq!(
                (found[0].processors, found[0].memory, found[0].load),
                (None, None, None)
            );
        }
    }
}
