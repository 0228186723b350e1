//! Random and mutated introspection XML, for a few seconds; for as long as `FUZZ_SECONDS` says if asked for.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use introspect::dbus::{Interface, Node, xml};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A text with everything in it that peers say.
const REAL: &str = include_str!("real.xml");

fn fuzz_time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(2))
}

fn run<T: std::fmt::Debug>(texts: impl Strategy<Value = T>, check: impl Fn(T)) {
    let end = Instant::now() + fuzz_time();
    let mut rounds = 0;
    while Instant::now() < end {
        rounds += 1;
        let config = Config {
            cases: 64,
            failure_persistence: None,
            ..Config::default()
        };
        let ran = TestRunner::new(config).run(&texts, |text| {
            check(text);
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{rounds} rounds of 64 texts");
}

/// Reads a text, and looks whether what came of it keeps the rules.
fn read(text: &str) {
    let limits = xml::Limits {
        bytes: 64 << 10,
        depth: 12,
        elements: 500,
    };
    match xml::parse(text, &limits) {
        Ok(parsed) => {
            assert!(parsed.warnings.len() <= xml::MOST_WARNINGS);
            let mut elements = 0;
            check(&parsed.node, 0, &mut elements);
            assert!(elements <= limits.elements);
        }
        Err(xml::Error::TooLong { .. }) => assert!(text.len() > limits.bytes),
        Err(_) => {}
    }
}

fn check(node: &Node, depth: usize, elements: &mut usize) {
    assert!(depth < 12);
    *elements += 1;
    for Interface {
        methods,
        signals,
        properties,
        ..
    } in &node.interfaces
    {
        *elements += 1 + methods.len() + signals.len() + properties.len();
        let of_methods = methods.iter().flat_map(|method| &method.args);
        let args = of_methods.chain(signals.iter().flat_map(|signal| &signal.args));
        for signature in args.map(|arg| &arg.signature) {
            let text = signature.to_string();
            assert!(!text.is_empty() && text.len() <= 255);
            assert_eq!(
                &zbus::Signature::try_from(text.as_str()).unwrap(),
                signature
            );
        }
    }
    for child in &node.children {
        let path = format!("/{}", child.name);
        assert!(zbus::ObjectPath::try_from(path.as_str()).is_ok(), "{path}");
        check(child, depth + 1, elements);
    }
}

#[test]
fn random_bytes_are_read_or_refused() {
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    run(bytes, |bytes| read(&String::from_utf8_lossy(&bytes)));
}

#[test]
fn mutated_xml_is_read_or_refused() {
    #[derive(Debug, Clone)]
    enum Change {
        Cut(usize, usize),
        Repeat(usize, usize, usize),
        Put(usize, u8),
        Swap(usize, usize),
    }
    let at = 0..REAL.len();
    let change = prop_oneof![
        (at.clone(), 0..80_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (at.clone(), 0..200_usize, 1..40_usize)
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Change::Put(at, byte)),
        (at.clone(), at).prop_map(|(one, other)| Change::Swap(one, other)),
    ];
    run(prop::collection::vec(change, 1..12), |changes| {
        let mut bytes = REAL.as_bytes().to_vec();
        for change in changes {
            let last = bytes.len().saturating_sub(1);
            match change {
                Change::Cut(at, length) => {
                    let at = at.min(last);
                    bytes.drain(at..(at + length).min(last));
                }
                Change::Repeat(at, length, times) => {
                    let at = at.min(last);
                    let piece = bytes[at..(at + length).min(last)].repeat(times);
                    bytes.splice(at..at, piece);
                }
                Change::Put(at, byte) if last > 0 => bytes[at.min(last)] = byte,
                Change::Swap(one, other) if last > 0 => bytes.swap(one.min(last), other.min(last)),
                _ => {}
            }
        }
        read(&String::from_utf8_lossy(&bytes));
    });
}

#[test]
fn the_whole_text_is_read_without_a_warning() {
    let parsed = xml::parse(REAL, &xml::Limits::default()).unwrap();
    assert_eq!(parsed.warnings, Vec::<String>::new());
    assert_eq!(parsed.node.interfaces.len(), 2);
}
