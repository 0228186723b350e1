//! How the host is: health, drift, and its resources over the last minutes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use api::Client;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::told;
use crate::speaker::Speaker;

/// How many samples are kept.
const SAMPLES: usize = 150;
/// How far apart they are at least, in milliseconds.
const APART: i64 = 4_000;

/// What was measured, oldest first.
#[derive(Default)]
pub(crate) struct Samples {
    all: VecDeque<Sample>,
    /// Ticks of the processors: those that were busy, and all.
    ticks: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    time_ms: i64,
    load: Option<f64>,
    /// In percent of all processors.
    cpu: Option<f64>,
    /// In percent.
    memory: Option<f64>,
}

pub(super) async fn ask(
    client: &Client,
    speaker: &Speaker,
    samples: &Mutex<Samples>,
) -> Result<Value, api::Error> {
    let token = speaker.right().token;
    let mut status = client.status_for(Some(&token)).await?;
    let (info, stat, state, disks) = tokio::join!(
        told(client, speaker, "host_info", json!({})),
        told(client, speaker, "proc_read", json!({ "file": "stat" })),
        told(client, speaker, "state_status", json!({})),
        told(client, speaker, "introspect_filesystems", json!({})),
    );
    let health = status["host"].take();
    let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
    let cpu = samples.cpu(stat["text"].as_str().unwrap_or_default());
    let memory = &info["memory"];
    let (all, free) = (
        memory["total_bytes"].as_f64(),
        memory["available_bytes"].as_f64(),
    );
    let sample = Sample {
        time_ms: Timestamp::now().as_millisecond(),
        load: info["load"]["one_minute"].as_f64(),
        cpu,
        memory: all
            .zip(free)
            .filter(|(all, _)| *all > 0.0)
            .map(|(all, free)| round((all - free) * 100.0 / all)),
    };
    samples.take(sample);
    Ok(json!({
        "drift": health["drift"],
        "health": health,
        "awaiting": state["awaiting"],
        "last": state["last"],
        "daemon": { "version": status["version"], "uptime_s": status["uptime_s"] },
        "machine": {
            "hostname": info["kernel_hostname"],
            "operating_system": info["operating_system"]["pretty_name"],
            "kernel": info["kernel"]["release"],
            "processors": info["processors"]["count"],
        },
        "resources": {
            "now": {
                "load": info["load"],
                "cpu": sample.cpu,
                "memory": memory,
                "disk": used(&disks["mounts"]),
                "uptime_seconds": info["uptime_seconds"].as_f64().map(f64::floor),
            },
            "series": samples.series(),
        },
    }))
}

impl Samples {
    /// How busy the processors were since the last sample, in percent (proc_stat(5)).
    fn cpu(&mut self, stat: &str) -> Option<f64> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        // The last two, of guests, are in the first two too.
        let all: u64 = ticks.iter().take(8).sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let now = (all.saturating_sub(idle), all);
        let before = self.ticks.replace(now)?;
        #[allow(clippy::cast_precision_loss)]
        let (busy, passed) = (
            now.0.saturating_sub(before.0) as f64,
            now.1.saturating_sub(before.1) as f64,
        );
        (passed > 0.0).then(|| round(busy * 100.0 / passed))
    }

    fn take(&mut self, sample: Sample) {
        let last = self.all.back().map_or(0, |last| last.time_ms);
        if sample.time_ms - last < APART {
            return;
        }
        self.all.push_back(sample);
        if self.all.len() > SAMPLES {
            self.all.pop_front();
        }
    }

    fn series(&self) -> Value {
        let line = |name: &str, unit: &str, of: fn(&Sample) -> Option<f64>| {
            let points = self
                .all
                .iter()
                .filter_map(|sample| Some((sample.time_ms, of(sample)?)));
            json!({ "name": name, "unit": unit, "points": points.collect::<Vec<_>>() })
        };
        json!([
            line("Processors", "%", |sample| sample.cpu),
            line("Memory", "%", |sample| sample.memory),
            line("Load", "", |sample| sample.load),
        ])
    }
}

/// File systems that hold data, each device once, the fullest first.
fn used(mounts: &Value) -> Value {
    let mut seen = Vec::new();
    let mut used: Vec<_> = mounts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mount| {
            let (all, taken) = (
                mount["usage"]["total_bytes"].as_f64()?,
                mount["usage"]["used_bytes"].as_f64()?,
            );
            let source = mount["source"].as_str()?;
            if all < 1.0 || !source.starts_with('/') || seen.contains(&source) {
                return None;
            }
            seen.push(source);
            Some((round(taken * 100.0 / all), mount))
        })
        .collect();
    used.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let shown = used.iter().take(12).map(|(percent, mount)| {
        json!({
            "target": mount["target"], "percent": percent,
            "total_bytes": mount["usage"]["total_bytes"], "used_bytes": mount["usage"]["used_bytes"],
        })
    });
    shown.collect()
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_by_the_ticks_in_between() {
        let mut samples = Samples::default();
        assert_eq!(
            samples.cpu("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1"),
            None
        );
        assert_eq!(samples.cpu("cpu  150 0 100 850 0 0 0 0 0 0"), Some(50.0));
        assert_eq!(samples.cpu("nothing"), None);
    }

    #[test]
    fn samples_are_few_and_apart() {
        let mut samples = Samples::default();
        for n in 0..1000 {
            samples.take(Sample {
                time_ms: 10_000 + n * 2_000,
                load: Some(1.0),
                cpu: None,
                memory: None,
            });
        }
        assert_eq!(samples.all.len(), SAMPLES);
        let series = samples.series();
        assert_eq!(series[2]["points"].as_array().unwrap().len(), SAMPLES);
        assert_eq!(series[0]["points"], json!([]));
    }

    #[test]
    fn a_device_is_shown_once() {
        let mount = |target: &str, used| json!({ "target": target, "source": "/dev/a", "usage": { "total_bytes": 10, "used_bytes": used } });
        assert_eq!(
            used(
                &json!([mount("/", 5), mount("/b", 5), { "target": "/proc", "source": "proc", "usage": null }])
            )[0]["percent"],
            50.0
        );
    }
}
