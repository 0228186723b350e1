//! Declared commands.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::time::{Duration, Instant};

use fixture::{call, call_with, caller, registry, texts};
use serde_json::{Value, json};
use tools::{Cancel, Options, Registry, Role, ToolError};

const DECLARED: &str = r#"
access:
  commands:
    echo: [/bin/echo, "$HOME; ls", "*"]
    environment: [/usr/bin/env]
    input: [/bin/cat]
    place: [/bin/pwd]
    fails: [/bin/sh, -c, "echo out; echo err >&2; exit 3"]
    killed: [/bin/sh, -c, "kill -9 $$"]
    much: [/usr/bin/head, -c, "3000000", /dev/zero]
    slow: [/bin/sh, -c, "trap '' TERM; sleep 300 & echo $! > DIR/pid; wait; sleep 300"]
    behind: [/bin/sh, -c, "sleep 300 & echo $! > DIR/pid; echo begun"]
    missing: [/nonexistent/program]
"#;

const PATIENCE: Duration = Duration::from_secs(60);

fn host() -> Option<(tempfile::TempDir, Registry)> {
    if !rustix::process::geteuid().is_root() {
        lab::skip("needs root, as every change does");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let declared = DECLARED.replace("DIR", dir.path().to_str().unwrap());
    let registry = registry(dir.path(), &declared);
    Some((dir, registry))
}

fn run(registry: &Registry, name: &str) -> Result<Value, ToolError> {
    call(
        registry,
        Role::Admin,
        "command_run",
        json!({ "name": name }),
    )
}

/// The process that a command left a note of, if it has got so far.
fn note(dir: &tempfile::TempDir) -> Option<String> {
    let pid = std::fs::read_to_string(dir.path().join("pid")).ok()?;
    (!pid.trim().is_empty()).then(|| pid.trim().to_owned())
}

/// The same, waited for.
fn noted(dir: &tempfile::TempDir) -> String {
    lab::wait_for("a pid", PATIENCE, || note(dir))
}

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn nothing_is_run_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(dir.path(), "");
    let error = run(&registry, "echo").unwrap_err();
    if rustix::process::geteuid().is_root() {
        assert!(matches!(error, ToolError::NotFound(_)), "{error}");
        assert!(error.to_string().contains("access.commands"), "{error}");
    }
    let listed = call(&registry, Role::Viewer, "command_list", json!({})).unwrap();
    assert_eq!(listed["commands"], json!([]));
}

#[test]
fn a_command_runs_as_declared() {
    let Some((_dir, registry)) = host() else {
        return;
    };
    let listed = call(&registry, Role::Viewer, "command_list", json!({})).unwrap();
    assert_eq!(texts(&listed["commands"], "name")[..2], ["behind", "echo"]);
    let done = run(&registry, "echo").unwrap();
    assert_eq!(done["stdout"], "$HOME; ls *\n");
    assert_eq!(
        (&done["exit_status"], &done["signal"]),
        (&json!(0), &Value::Null)
    );
    let environment = run(&registry, "environment").unwrap();
    let text = environment["stdout"].as_str().unwrap();
    let mut names: Vec<_> = text
        .lines()
        .map(|line| line.split('=').next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["LANG", "PATH"]);
    assert_eq!(run(&registry, "input").unwrap()["stdout"], "");
    assert_eq!(run(&registry, "place").unwrap()["stdout"], "/\n");
    let fails = run(&registry, "fails").unwrap();
    assert_eq!(fails["exit_status"], 3);
    assert_eq!(
        (&fails["stdout"], &fails["stderr"]),
        (&json!("out\n"), &json!("err\n"))
    );
    let killed = run(&registry, "killed").unwrap();
    assert_eq!(
        (&killed["exit_status"], &killed["signal"]),
        (&Value::Null, &json!(9))
    );
    let much = run(&registry, "much").unwrap();
    assert_eq!(
        (&much["stdout_cut"], &much["stderr_cut"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(much["stdout"].as_str().unwrap().len(), 256 << 10);
    let error = run(&registry, "missing").unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/program"),
        "{error}"
    );
    let error = run(&registry, "Echo").unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
}

#[test]
fn it_takes_an_admin_and_nothing_is_added() {
    let Some((_dir, registry)) = host() else {
        return;
    };
    for role in [Role::Viewer, Role::Operator] {
        let error = call(&registry, role, "command_run", json!({ "name": "echo" })).unwrap_err();
        assert!(matches!(error, ToolError::Refused(_)), "{error}");
    }
    let more = json!({ "name": "echo", "arguments": ["x"] });
    let error = call(&registry, Role::Admin, "command_run", more).unwrap_err();
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
}

#[test]
fn the_preview_is_the_vector() {
    let Some((_dir, registry)) = host() else {
        return;
    };
    let with = |options| {
        let arguments = json!({ "name": "echo" });
        call_with(&registry, Role::Admin, "command_run", arguments, options)
    };
    let plan = with(Options {
        dry_run: true,
        ..Options::default()
    })
    .unwrap();
    let vector = &plan["changes"][0]["after"]["arguments"];
    assert_eq!(*vector, json!(["/bin/echo", "$HOME; ls", "*"]));
    let hash = plan["plan_hash"].as_str().unwrap().to_owned();
    let bound = |hash: String| Options {
        plan: Some(hash),
        ..Options::default()
    };
    assert_eq!(with(bound(hash)).unwrap()["exit_status"], 0);
    let error = with(bound("00000000".to_owned())).unwrap_err();
    assert!(matches!(error, ToolError::PlanChanged { .. }), "{error}");
}

#[test]
fn what_takes_too_long_is_killed_with_all_it_started() {
    let Some((dir, registry)) = host() else {
        return;
    };
    // On a busy machine it may be killed before it has started anything.
    let pid = lab::wait_for("a pid", PATIENCE, || {
        let begun = Instant::now();
        let arguments = json!({ "name": "slow", "timeout_seconds": 1 });
        let error = call(&registry, Role::Admin, "command_run", arguments).unwrap_err();
        assert!(error.to_string().contains("within 1 s"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        note(&dir)
    });
    lab::wait_for("the end of all", PATIENCE, || {
        (!is_running(&pid)).then_some(())
    });
}

#[test]
fn a_call_that_is_taken_back_leaves_nothing_running() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let cancel = Cancel::default();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            noted(&dir);
            cancel.cancel();
        });
        let arguments = json!({ "name": "slow" });
        let options = Options::default();
        registry
            .call(
                &caller(Role::Admin),
                "command_run",
                arguments,
                options,
                &cancel,
                &|_| {},
            )
            .unwrap_err()
    });
    assert!(matches!(error, ToolError::Cancelled), "{error}");
    let pid = noted(&dir);
    lab::wait_for("the end of all", PATIENCE, || {
        (!is_running(&pid)).then_some(())
    });
    // And by the deadline.
    let options = Options {
        deadline: Some(Instant::now() + Duration::from_millis(300)),
        ..Options::default()
    };
    let error = call_with(
        &registry,
        Role::Admin,
        "command_run",
        json!({ "name": "slow" }),
        options,
    );
    assert!(matches!(error, Err(ToolError::TimedOut)), "{error:?}");
}

#[test]
fn what_runs_on_behind_does_not_hold_the_call() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let begun = Instant::now();
    let done = run(&registry, "behind").unwrap();
    assert_eq!(done["stdout"], "begun\n");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let pid = noted(&dir);
    assert!(is_running(&pid));
    lab::run("kill", &["-9", &pid]);
}
