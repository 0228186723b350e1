//! How well a model answers questions to a ledger, and how fast it is:
//! `OP_DBUS_MODEL=DIR cargo bench -p model --features onnx --bench quality`.
//!
//! The corpus and the questions are those of `cargo bench -p search --bench ledger`.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../../search/tests/corpus/ledger.rs"]
mod corpus;
#[path = "../../search/tests/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use model::{Job, Model, Provider, Settings, work};
use search::Embedder;
use search::entries::{EntryIndex, Likeness, Method};
use support::Chain;

fn main() {
    let Some(directory) = std::env::var_os("OP_DBUS_MODEL") else {
        lab::skip("OP_DBUS_MODEL names no directory with a model: scripts/model.sh DIR gets one");
        return;
    };
    // It is its own worker.
    if std::env::args().nth(1).as_deref() == Some("worker") {
        let job = Job {
            directory: directory.into(),
            threads: 2,
            idle: Duration::from_secs(600),
            placement: None,
        };
        let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        return work(&job, File::from(input), std::io::stdout()).unwrap();
    }
    let begun = Instant::now();
    let program = "/usr/bin/env".into();
    let mut arguments = vec![OsString::from("OP_DBUS_MODEL=")];
    arguments[0].push(&directory);
    arguments.push(std::env::current_exe().unwrap().into());
    arguments.push("worker".into());
    let model = Model::open(Settings {
        directory: directory.into(),
        provider: Provider::Cpu,
        worker: (program, arguments),
    });
    let model = model.unwrap();
    model.embed(&["begin"]).unwrap();
    let (process, _) = model.worker().unwrap();
    println!(
        "{} loaded in {:.0?}; its process has {} MB",
        model.id(),
        begun.elapsed(),
        resident(process)
    );
    speed(&model);
    quality(&model);
}

fn speed(model: &dyn Embedder) {
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            let text = format!("which containers were created on host {number} last week by alice");
            let begun = Instant::now();
            model.embed(&[&text]).unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "a question of 11 words: p50 {:.1?}, p99 {:.1?}, of 100",
        times[50], times[99]
    );
}

fn quality(model: &dyn Embedder) {
    let (records, keys) = corpus::corpus();
    let questions = corpus::questions(&records, &keys);
    let count = records.len();
    let chain = Chain::new(records);
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    let begun = Instant::now();
    let go_on = &mut |_| ControlFlow::Continue(());
    index.grow(&chain, model, go_on).unwrap();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{count} entries indexed, {rate:.0}/s; {} questions",
        questions.len()
    );
    println!(
        "{:<8} {:>9} {:>6} {:>22} {:>6}",
        "", "recall@5", "MRR", "mistyped: recall@5", "MRR"
    );
    for (name, method) in [("vectors", Method::Likeness), ("fused", Method::Fused)] {
        let search = |question: &str| -> Vec<i64> {
            let models = [model];
            let answer = index.search_by(
                method,
                &chain,
                &Likeness::by(&models),
                question,
                &corpus::now(),
                20,
            );
            answer.unwrap().hits.iter().map(|hit| hit.id).collect()
        };
        let (recall, rank) = corpus::grades(&questions, false, search);
        let (typed_recall, typed_rank) = corpus::grades(&questions, true, search);
        println!("{name:<8} {recall:>9.2} {rank:>6.2} {typed_recall:>22.2} {typed_rank:>6.2}");
    }
}

/// A process's memory, in MB (`VmRSS` of proc(5)).
fn resident(process: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() / 1000
}
