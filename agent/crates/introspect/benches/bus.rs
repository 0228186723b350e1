//! How long it takes to look at a whole bus, beside the bare calls of `Introspect` in the same run.
//!
//! Needs root and what `lab` needs for a systemd. Prints one line a figure; asserts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::{Duration, Instant};

use introspect::dbus::{Limits, names, survey};
use zbus::{Connection, names::BusName};

/// How often everything is looked at.
const ROUNDS: usize = 15;

fn main() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let Some(systemd) = machine.systemd() else {
        return;
    };
    for unit in [
        "systemd-hostnamed",
        "systemd-localed",
        "systemd-timedated",
        "systemd-logind",
    ] {
        systemd.systemctl(&["start", unit]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
    drop(systemd);
}

async fn measure() {
    let connection = zbus::connection::Builder::system().build().await.unwrap();
    let limits = Limits {
        objects: 2000,
        ..Limits::default()
    };
    let (mut whole, mut bare, mut listing) = (Vec::new(), Vec::new(), Vec::new());
    let (mut services, mut objects) = (0, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        names(&connection).await.unwrap();
        listing.push(begun.elapsed());

        let begun = Instant::now();
        let seen = survey(&connection, &limits, &|_, _| true).await.unwrap();
        whole.push(begun.elapsed());

        let trees: Vec<_> = seen.into_values().flatten().collect();
        services = trees.len();
        objects = trees.iter().map(|tree| tree.objects.len()).sum();
        let begun = Instant::now();
        for tree in &trees {
            for object in &tree.objects {
                introspect(&connection, &tree.owner, &object.path).await;
            }
        }
        bare.push(begun.elapsed());
    }
    let (whole, bare, listing) = (median(whole), median(bare), median(listing));
    println!("names and their processes      {:>8.2} ms", ms(listing));
    println!(
        "{services} services, {objects} objects, whole   {:>8.2} ms",
        ms(whole)
    );
    println!("the same objects, bare calls   {:>8.2} ms", ms(bare));
    println!(
        "ratio                          {:>8.2}",
        ms(whole) / ms(bare)
    );
}

async fn introspect(connection: &Connection, owner: &str, path: &str) {
    let owner = BusName::try_from(owner).unwrap();
    let interface = Some("org.freedesktop.DBus.Introspectable");
    let _ = connection
        .call_method(Some(owner), path, interface, "Introspect", &())
        .await;
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
