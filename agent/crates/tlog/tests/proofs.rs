//! Proofs in one file, and what becomes of them in hostile hands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use tlog::{
    AddCheckpoint, Algorithm, Answer, Checkpoint, Note, Proof, ProofError, Prover,
    SignedCheckpoint, SigningKey, Tiles, Tree, VerifierKey, leaf_hash,
};

fn key(name: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(&name.parse().unwrap(), algorithm)
        .unwrap()
        .parse()
        .unwrap()
}

/// A log of some entries, and a proof of one of them.
fn proof(log: &SigningKey, index: u64, size: u64, extra: Option<&[u8]>) -> Proof {
    let directory = tempfile::tempdir().unwrap();
    let tiles = Tiles::at(directory.path());
    let mut tree = Tree::new();
    (0..size).for_each(|number| tree.append(leaf_hash(&number.to_be_bytes())));
    let head = Checkpoint::new(log.verifier().name().clone(), size, tree.root());
    Proof {
        extra: extra.map(<[u8]>::to_vec),
        index,
        path: Prover::with_recent(&tiles, &tree)
            .inclusion(index, size)
            .unwrap(),
        checkpoint: head.sign(log).unwrap(),
    }
}

#[test]
fn a_proof_is_written_read_and_verified() {
    let log = key("example.org/log", Algorithm::Ed25519);
    for extra in [None, Some(b"{\"id\":5}".as_slice()), Some(b"")] {
        let text = proof(&log, 5, 300, extra).to_string();
        let read = Proof::parse(text.as_bytes()).unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(read.extra.as_deref(), extra);
        let head = read
            .verify(leaf_hash(&5_u64.to_be_bytes()), log.verifier())
            .unwrap();
        assert_eq!(head.size, 300);
        let other = read.verify(leaf_hash(&6_u64.to_be_bytes()), log.verifier());
        assert_eq!(other, Err(ProofError::NotIncluded { index: 5 }));
        let stranger = key("example.org/log", Algorithm::Ed25519);
        assert!(
            read.verify(leaf_hash(&5_u64.to_be_bytes()), stranger.verifier())
                .is_err()
        );
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let log = key("example.org/log", Algorithm::Ed25519);
    let text = proof(&log, 5, 9, None).to_string();
    for position in 0..text.len() {
        for flip in [1, 2, 0x20, 0x80] {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= flip;
            let verified = Proof::parse(&bytes).is_ok_and(|proof| {
                proof
                    .verify(leaf_hash(&5_u64.to_be_bytes()), log.verifier())
                    .is_ok()
            });
            assert!(
                !verified,
                "byte {position} with {flip:#x}: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn the_example_of_the_specification_is_read() {
    // The specification leaves parts of the signatures out; these are made up.
    let text = "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n\
        gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\
        EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n\nexample.com/fancylog\n109482\n\
        sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n— example.com/fancylog hI2DJ0xA\n— witness1.example mJirI00A\n";
    let proof = Proof::parse(text.as_bytes()).unwrap();
    assert_eq!((proof.index, proof.path.len()), (73894, 3));
    assert_eq!(
        proof.extra.as_deref(),
        Some(b"age-v1.2.1-darwin-arm64.tar.gz".as_slice())
    );
    assert_eq!(proof.checkpoint.unverified().size, 109_482);
    assert_eq!(proof.to_string(), text);
}

#[test]
fn what_is_no_proof_says_where() {
    let log = key("l", Algorithm::Ed25519);
    let text = proof(&log, 5, 9, None).to_string();
    let line = |text: &str| match Proof::parse(text.as_bytes()) {
        Err(ProofError::Line { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line(""), 1);
    assert_eq!(line(&text.replace("proof@v1", "proof@v2")), 1);
    assert_eq!(line(&text.replace("index 5", "index 05")), 2);
    assert_eq!(line(&text.replace("index 5", "extra !\nindex 5")), 2);
    assert_eq!(line(&text.replace("index 5", "extra AA==\nindex -5")), 3);
    assert_eq!(line(&text.replace("index 5\n", "index 5\nnot a hash\n")), 3);
    let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(
        line(&text.replace("index 5\n", &format!("index 5\n{}", hash.repeat(64)))),
        66
    );
}

proptest! {
    /// Everything that reads takes any bytes, and what it accepts it writes again as it was.
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), status in any::<u16>()) {
        drop(Note::parse(&bytes));
        drop(SignedCheckpoint::parse(&bytes));
        drop(Proof::parse(&bytes));
        drop(AddCheckpoint::parse(&bytes));
        Answer::read(status, Some("text/x.tlog.size"), &bytes);
        let text = String::from_utf8_lossy(&bytes);
        drop(text.parse::<VerifierKey>());
        drop(text.parse::<SigningKey>());
    }

    #[test]
    fn parts_in_any_order_do_not_panic(parts in prop::collection::vec(0_usize..12, 0..20), number in any::<u64>()) {
        let number = number.to_string();
        let pieces = [
            "\n", "\n\n", "— ", "a ", "old ", "index ", "extra ", "c2sp.org/tlog-proof@v1\n", &number,
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "AAAAAAA=\n", "example.org/log\n",
        ];
        let text: String = parts.iter().map(|part| pieces[*part]).collect();
        if let Ok(note) = Note::parse(text.as_bytes()) {
            prop_assert_eq!(note.to_string(), text.clone());
        }
        if let Ok(proof) = Proof::parse(text.as_bytes()) {
            prop_assert_eq!(proof.to_string(), text.clone());
        }
        if let Ok(request) = AddCheckpoint::parse(text.as_bytes()) {
            prop_assert_eq!(request.to_string(), text);
        }
    }
}
