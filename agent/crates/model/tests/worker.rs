//! The worker process: its threads, its rest, its death, and what models that are none make of it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use model::{Error, Model, Provider, Settings};
use search::Embedder;

const PATIENCE: Duration = Duration::from_secs(60);

/// The model that `scripts/model.sh` gets.
fn minilm() -> Option<PathBuf> {
    let directory = std::env::var_os("OP_DBUS_MODEL");
    if directory.is_none() {
        lab::skip("OP_DBUS_MODEL names no directory with a model: scripts/model.sh DIR gets one");
    }
    directory.map(PathBuf::from)
}

/// The example `worker`, which lies beside the directory of this test.
fn worker() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .unwrap()
        .with_file_name("examples")
        .join("worker")
}

fn settings(directory: &Path, threads: &str, idle: &str) -> Settings {
    Settings {
        directory: directory.to_owned(),
        provider: Provider::Cpu,
        worker: (
            worker(),
            vec![directory.into(), threads.into(), idle.into()],
        ),
    }
}

fn opened(directory: &Path, threads: &str, idle: &str) -> Model {
    Model::open(settings(directory, threads, idle)).unwrap()
}

#[test]
fn what_the_build_does_not_have_is_refused_with_the_reason() {
    for provider in [
        Provider::Cuda,
        Provider::TensorRt,
        Provider::DirectMl,
        Provider::CoreMl,
    ] {
        let settings = Settings {
            provider,
            ..settings(Path::new("/nonexistent"), "1", "1")
        };
        let error = Model::open(settings).unwrap_err();
        assert!(
            matches!(error, Error::Provider { .. })
                && error.to_string().contains("set it to `cpu`")
        );
    }
}

#[test]
fn files_that_are_no_model_are_said_by_the_worker() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("model.onnx"), "<!DOCTYPE html>").unwrap();
    fs::write(directory.path().join("tokenizer.json"), "{}").unwrap();
    let model = opened(directory.path(), "1", "600");
    let error = model.embed(&["one"]).unwrap_err();
    assert!(
        error.to_string().contains("tokenizer.json is no tokenizer"),
        "{error}"
    );
    assert_eq!(model.worker(), None);
    let Some(good) = minilm() else { return };
    fs::copy(
        good.join("tokenizer.json"),
        directory.path().join("tokenizer.json"),
    )
    .unwrap();
    let error = model.embed(&["one"]).unwrap_err();
    assert!(
        !model.is_current() && error.to_string().contains("is no sentence model"),
        "{error}"
    );
    let whole = fs::read(good.join("model.onnx")).unwrap();
    fs::write(
        directory.path().join("model.onnx"),
        &whole[..whole.len() / 2],
    )
    .unwrap();
    let error = opened(directory.path(), "1", "600")
        .embed(&["one"])
        .unwrap_err();
    assert!(error.to_string().contains("it is cut off"), "{error}");
}

#[test]
fn a_worker_that_is_none_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("model.onnx"), "x").unwrap();
    fs::write(directory.path().join("tokenizer.json"), "x").unwrap();
    for (program, said) in [
        ("/bin/true", "ended before"),
        ("/nonexistent", "cannot be started"),
        ("/bin/yes", "message"),
    ] {
        let settings = Settings {
            worker: (program.into(), Vec::new()),
            ..settings(directory.path(), "1", "1")
        };
        let error = Model::open(settings).unwrap().embed(&["one"]).unwrap_err();
        assert!(error.to_string().contains(said), "{program}: {error}");
    }
}

fn threads(process: u32, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .flatten();
    let comm = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    comm.filter(|comm| comm.starts_with(name)).count()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn its_process_has_the_threads_that_were_asked_for_and_goes_when_it_is_idle() {
    let Some(directory) = minilm() else { return };
    let model = opened(&directory, "3", "3");
    assert_eq!(model.worker(), None, "nothing is loaded before it is used");
    let texts = ["one", "two", "three", "four"];
    let vectors = model.embed(&texts).unwrap();
    let (process, count) = model.worker().unwrap();
    // One more is the runtime's own, which read the model.
    assert_eq!((count, threads(process, "rten-")), (3, 3 + 1));
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    if rustix::process::geteuid().is_root() {
        assert!(status.contains("Uid:\t65534\t65534\t65534"), "{status}");
        let net = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
        assert_ne!(net(&process.to_string()), net("self"));
    }
    lab::wait_for("the end of the idle process", PATIENCE, || {
        (!is_there(process)).then_some(())
    });
    assert_eq!(model.worker(), None);
    assert_eq!(model.embed(&texts).unwrap(), vectors, "it comes again");
    drop(model);
}

/// A text that is one word of many pieces, as questions are.
#[test]
fn one_rare_word_is_a_text_too() {
    let Some(directory) = minilm() else { return };
    let model = opened(&directory, "2", "600");
    let words = ["postgresql", "xqzjvw", "Ⱥİ", "nginx"];
    let vectors = model.embed(&words).unwrap();
    assert_eq!(vectors.len(), words.len());
    // What is after it, and is no word, changes nothing.
    assert_eq!(model.embed(&["postgresql   "]).unwrap(), vectors[..1]);
}

#[test]
fn a_killed_process_is_started_again_and_none_is_left() {
    let Some(directory) = minilm() else { return };
    let model = opened(&directory, "1", "600");
    model.embed(&["one"]).unwrap();
    let (process, _) = model.worker().unwrap();
    lab::run("kill", &["-9", &process.to_string()]);
    lab::wait_for("its end", PATIENCE, || (!is_there(process)).then_some(()));
    model.embed(&["one"]).unwrap();
    let (again, _) = model.worker().unwrap();
    assert_ne!(again, process);
    drop(model);
    lab::wait_for("the end of the other", PATIENCE, || {
        (!is_there(again)).then_some(())
    });
}

#[test]
fn a_worker_that_is_asked_nonsense_ends() {
    let Some(directory) = minilm() else { return };
    let mut worker = Command::new(worker())
        .arg(directory)
        .args(["1", "600"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = worker.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &[0xff; 64]).unwrap();
    drop(input);
    let mut answer = Vec::new();
    worker
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut answer)
        .unwrap();
    assert!(!worker.wait().unwrap().success());
}
