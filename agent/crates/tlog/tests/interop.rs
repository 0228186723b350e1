//! Another implementation: Go's `golang.org/x/mod/sumdb`, which the public checksum database of Go runs on.
//!
//! Debian's `golang-go` and `golang-golang-x-mod-dev` bring it. It checks notes, checkpoints, cosignatures, proofs, consistency
//! and tiles that this crate wrote, and makes a proof for this crate to check.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tlog::{Algorithm, Checkpoint, Proof, Prover, SigningKey, Tiles, Tree, VerifierKey, leaf_hash};

/// Where Debian keeps the sources of Go's libraries.
const GOPATH: &str = "/usr/share/gocode";

/// The other implementation's program, built; nothing if it cannot be had here.
fn other(directory: &Path) -> Option<PathBuf> {
    if !lab::has("go") {
        lab::skip("go is missing: install golang-go and golang-golang-x-mod-dev");
        return None;
    }
    if !Path::new(GOPATH)
        .join("src/golang.org/x/mod/sumdb/tlog")
        .is_dir()
    {
        lab::skip("golang.org/x/mod is missing: install golang-golang-x-mod-dev");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/main.go");
    let program = directory.join("interop");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOCACHE", directory.join("cache"))
        .env("GOFLAGS", "")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Some(program)
}

fn key(name: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(&name.parse().unwrap(), algorithm)
        .unwrap()
        .parse()
        .unwrap()
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// Something that is done to a file.
type Change = fn(&mut Vec<u8>);

const ENTRY: &[u8] = b"{\"id\":299}";

/// A log of 70,000 entries with everything that can be said of it, in files.
fn publish(directory: &Path, log: &SigningKey, witness: &SigningKey) {
    let tiles = Tiles::at(directory);
    let mut tree = Tree::new();
    let head = |tree: &Tree| {
        let head = Checkpoint::new(log.verifier().name().clone(), tree.size(), tree.root());
        head.sign(log).unwrap()
    };
    let grow = |tree: &mut Tree, size: u64| {
        for number in tree.size()..size {
            let text = number.to_string();
            tree.append(leaf_hash(if number == 299 {
                ENTRY
            } else {
                text.as_bytes()
            }));
        }
    };
    grow(&mut tree, 1000);
    fs::write(directory.join("old"), head(&tree).to_string()).unwrap();
    grow(&mut tree, 70_000);
    tiles.write(&mut tree).unwrap();
    let mut checkpoint = head(&tree);
    let cosignature = checkpoint.cosign(witness, 1_780_000_000).unwrap();
    assert!(
        checkpoint
            .add(cosignature, &[witness.verifier().clone()])
            .unwrap()
    );
    let prover = Prover::new(&tiles);
    let consistency: String = prover
        .consistency(1000, 70_000)
        .unwrap()
        .iter()
        .map(|hash| format!("{hash}\n"))
        .collect();
    let path = prover.inclusion(299, 70_000).unwrap();
    let proof = Proof {
        extra: None,
        index: 299,
        path,
        checkpoint: checkpoint.clone(),
    };
    fs::write(directory.join("checkpoint"), checkpoint.to_string()).unwrap();
    fs::write(directory.join("consistency"), consistency).unwrap();
    fs::write(directory.join("proof"), proof.to_string()).unwrap();
    fs::write(directory.join("leaf"), ENTRY).unwrap();
}

#[test]
fn another_implementation_verifies_ours() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = other(directory.path()) else {
        return;
    };
    let log = key("example.org/log", Algorithm::Ed25519);
    let witness = key("example.org/witness", Algorithm::Cosignature);
    publish(directory.path(), &log, &witness);
    let place = directory.path().to_str().unwrap();
    let keys = [log.verifier().to_string(), witness.verifier().to_string()];
    let verify = || run(&program, &["verify", place, &keys[0], &keys[1]]);
    let verified = verify();
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    assert_eq!(
        said,
        "verified 299 of 70000 entries, cosigned at 1780000000\n"
    );
    // It does look.
    let changes: [(&str, Change); 5] = [
        ("leaf", |bytes| bytes[3] ^= 1),
        ("proof", |bytes| bytes[24] ^= 1),
        ("checkpoint", |bytes| *bytes = bytes.to_ascii_lowercase()),
        ("consistency", |bytes| bytes[0] ^= 1),
        ("tile/0/001", |bytes| bytes[0] ^= 1),
    ];
    for (name, change) in changes {
        let path = directory.path().join(name);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        assert!(!verify().status.success(), "{name}");
        fs::write(&path, before).unwrap();
    }
    assert!(verify().status.success());
}

#[test]
fn we_verify_what_another_implementation_made() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = other(directory.path()) else {
        return;
    };
    let made = run(&program, &["make", directory.path().to_str().unwrap()]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let key: VerifierKey = fs::read_to_string(directory.path().join("key"))
        .unwrap()
        .parse()
        .unwrap();
    let proof = Proof::parse(&fs::read(directory.path().join("proof")).unwrap()).unwrap();
    assert_eq!(proof.verify(leaf_hash(b"300"), &key).unwrap().size, 777);
    assert!(proof.verify(leaf_hash(b"301"), &key).is_err());
}
