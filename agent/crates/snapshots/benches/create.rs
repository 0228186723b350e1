//! What a snapshot costs beside the bare ioctl, in the same run. Needs root. Prints; asserts nothing.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/base/mod.rs"]
mod base;

use std::time::{Duration, Instant};

use base::Base;

const ROUNDS: u32 = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let Some(base) = Base::new(512) else { return };
    for file in 0..200 {
        base.write(&format!("@state/{file}"), "some text");
    }
    btrfs::create(base.at("bare")).unwrap();
    for (what, subvolumes) in [
        ("one", vec!["@state"]),
        ("four", vec!["@state", "@timing", "@vectors", "@containers"]),
    ] {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            base.write("@state/changing", &round.to_string());
            let begun = Instant::now();
            for subvolume in &subvolumes {
                let copy = base.at(&format!("bare/{what}-{round}-{subvolume}"));
                btrfs::snapshot(base.at(subvolume), copy, true).unwrap();
            }
            bare.push(begun.elapsed());
            base.write("@state/changing", &round.to_string());
            let begun = Instant::now();
            base.create(&format!("{what}-{round}"), &subvolumes)
                .unwrap();
            ours.push(begun.elapsed());
        }
        let (bare, ours) = (median(bare), median(ours));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        println!("{what}: bare {bare:?}, with record, marks and place {ours:?}, {ratio:.2} times");
    }
}
