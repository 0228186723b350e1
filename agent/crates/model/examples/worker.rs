//! The worker process alone, for the tests of this crate: `worker DIRECTORY THREADS IDLE_SECONDS`.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use model::{Job, work};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().unwrap();
    let job = Job {
        directory: next().into(),
        threads: next().parse().unwrap(),
        idle: Duration::from_secs(next().parse().unwrap()),
        placement: None,
    };
    let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    work(&job, File::from(input), std::io::stdout()).unwrap();
}
