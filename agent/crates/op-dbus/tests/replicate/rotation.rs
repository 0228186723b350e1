//! Retention here, while snapshots are on their way and after.

use std::fs;

use lab::wait_for;

use crate::SHORT;
use crate::pair::Pair;
use crate::rig::Ended;

/// A run that changes something, which makes a snapshot first and lets the oldest of these go.
fn change(pair: &Pair, round: usize) {
    let text = format!(
        "version: \"1.0\"\n\
         snapshots: {{policies: [per-operation], subvolumes: ['@state'], retention: {{operation: 1}}}}\n\
         replication: {{targets: {{disk: {{path: {}}}}}}}\n\
         plugins: {{btrfs: {{base: {}, subvolumes: {{'@extra': {{compression: 'zstd:{}'}}}}}}}}\n",
        pair.far.display(),
        pair.rig.base.display(),
        round % 9 + 1
    );
    fs::write(&pair.rig.file, text).unwrap();
    pair.rig.apply();
}

/// The snapshots that runs made.
fn of_runs(pair: &Pair) -> Vec<String> {
    let mut names = lab::names(&pair.rig.base.join("@snapshots"));
    names.retain(|name| name.starts_with("run_"));
    names
}

#[test]
fn what_is_sent_and_what_the_next_builds_on_stay_while_runs_rotate() {
    let Some(pair) = Pair::new(512, 512, "") else {
        return;
    };
    change(&pair, 0);
    pair.write("@state/large", 150);
    change(&pair, 1);
    let large = of_runs(&pair);
    let [large] = &large[..] else {
        panic!("one stays: {large:?}");
    };

    // While it is on its way.
    let transfer = pair.start();
    let incoming = pair.far.join(format!(".incoming-{large}"));
    wait_for("the transfer", SHORT, || incoming.exists().then_some(()));
    change(&pair, 2);
    change(&pair, 3);
    Ended::of(transfer).expect(0);
    pair.assert_same(large, "@state");

    // The next one builds on it, however many runs there are before.
    fs::write(pair.rig.base.join("@state/small"), "new").unwrap();
    change(&pair, 4);
    change(&pair, 5);
    assert!(of_runs(&pair).contains(large), "{:?}", of_runs(&pair));
    let next = pair.replicate().expect(0).json();
    assert_eq!(next["sent"][0]["parent"], large.as_str(), "{next:#}");
    assert!(
        next["sent"][0]["bytes"].as_u64().unwrap() < 1 << 20,
        "{next:#}"
    );

    // It is of no use any more.
    change(&pair, 6);
    change(&pair, 7);
    assert!(!of_runs(&pair).contains(large), "{:?}", of_runs(&pair));
}
