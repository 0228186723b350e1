//! The tools for units on a real systemd, with `systemctl` as the witness.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::time::{Duration, Instant};

use fixture::{call, call_with, caller, item, registry, texts};
use lab::{Machine, Systemd};
use serde_json::{Value, json};
use tools::{Cancel, Options, Registry, Role, ToolError};

struct Host {
    registry: Registry,
    systemd: Systemd,
    _machine: Machine,
}

const WEB: &str = "[Unit]\nDescription=A server\nDocumentation=man:web(8)\nDefaultDependencies=no\n\
    [Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\nEnvironment=TOKEN=hunter2\n\
    [Install]\nWantedBy=lab.target\n";

fn host() -> Option<Host> {
    let machine = Machine::new("needs root")?;
    let systemd = machine.systemd()?;
    systemd.unit("web.service", WEB);
    Some(Host {
        registry: registry(machine.dir(), ""),
        systemd,
        _machine: machine,
    })
}

impl Host {
    fn call(&self, name: &str, arguments: Value) -> Value {
        call(&self.registry, Role::Admin, name, arguments)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn refuse(&self, name: &str, arguments: Value) -> ToolError {
        call(&self.registry, Role::Admin, name, arguments).unwrap_err()
    }

    fn plan(&self, name: &str, arguments: Value) -> Value {
        let options = Options {
            dry_run: true,
            ..Options::default()
        };
        call_with(&self.registry, Role::Admin, name, arguments, options).unwrap()
    }
}

#[test]
fn units_are_listed_and_shown() {
    let Some(host) = host() else { return };
    host.call("systemd_start_unit", json!({ "unit": "web.service" }));
    let list = host.call(
        "systemd_list_units",
        json!({ "type": "service", "state": "running" }),
    );
    let web = item(&list["units"], "name", "web.service");
    assert_eq!(web["description"], "A server");
    assert_eq!(
        (&web["active_state"], &web["sub_state"]),
        (&json!("active"), &json!("running"))
    );
    let list = host.call(
        "systemd_list_units",
        json!({ "pattern": "we?.*", "type": "service" }),
    );
    assert_eq!(texts(&list["units"], "name"), ["web.service"]);
    let first = host.call("systemd_list_units", json!({ "limit": 1 }));
    let second = host.call(
        "systemd_list_units",
        json!({ "limit": 1, "cursor": first["next_cursor"] }),
    );
    assert!(first["units"][0]["name"].as_str() < second["units"][0]["name"].as_str());

    let status = host.call("systemd_unit_status", json!({ "unit": "web.service" }));
    assert_eq!(status["unit_file_state"], "disabled");
    assert_eq!(status["fragment_path"], "/etc/systemd/system/web.service");
    assert_eq!(status["documentation"], json!(["man:web(8)"]));
    let said = host
        .systemd
        .systemctl(&["show", "--value", "--property=MainPID", "web.service"]);
    assert_eq!(status["main_pid"].to_string(), said);
    assert!(status["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(status["result"], "success");

    let all = host.call("systemd_unit_properties", json!({ "unit": "web.service" }));
    assert!(all["properties"].as_object().unwrap().len() > 100);
    assert!(!all.to_string().contains("hunter2"));
    let some = host.call(
        "systemd_unit_properties",
        json!({ "unit": "web.service", "names": ["Id", "Restart"] }),
    );
    assert_eq!(
        some["properties"],
        json!({ "Id": "web.service", "Restart": "no" })
    );
}

#[test]
fn units_are_started_stopped_restarted_and_reloaded() {
    let Some(host) = host() else { return };
    let web = json!({ "unit": "web.service" });
    let plan = host.plan("systemd_start_unit", web.clone());
    assert_eq!(plan["changes"][0]["before"]["active_state"], "inactive");
    let done = host.call("systemd_start_unit", web.clone());
    assert_eq!(
        (&done["outcome"], &done["after"]["active_state"]),
        (&json!("done"), &json!("active"))
    );
    assert_eq!(
        host.systemd.systemctl(&["is-active", "web.service"]),
        "active"
    );
    assert_eq!(
        host.plan("systemd_start_unit", web.clone())["changes"],
        json!([])
    );
    assert_eq!(
        host.call("systemd_start_unit", web.clone())["outcome"],
        "unchanged"
    );

    let pid = |host: &Host| host.call("systemd_unit_status", web.clone())["main_pid"].clone();
    let before = pid(&host);
    host.call("systemd_reload_unit", web.clone());
    assert_eq!(pid(&host), before);
    host.call("systemd_restart_unit", web.clone());
    assert_ne!(pid(&host), before);
    host.call("systemd_stop_unit", web.clone());
    assert_eq!(
        host.systemd.systemctl(&["is-active", "web.service"]),
        "inactive"
    );
}

#[test]
fn units_are_enabled_disabled_masked_and_unmasked() {
    let Some(host) = host() else { return };
    let web = json!({ "unit": "web.service" });
    let done = host.call("systemd_enable_unit", web.clone());
    assert_eq!(done["unit_file_state"], "enabled");
    assert_eq!(done["changes"][0]["change"], "symlink");
    assert_eq!(
        host.systemd.systemctl(&["is-enabled", "web.service"]),
        "enabled"
    );
    assert_eq!(
        host.call("systemd_enable_unit", web.clone())["outcome"],
        "unchanged"
    );
    host.call("systemd_disable_unit", web.clone());
    assert_eq!(
        host.systemd.systemctl(&["is-enabled", "web.service"]),
        "disabled"
    );
    let vendor = host
        .systemd
        .root()
        .join("lib/systemd/system/vendor.service");
    std::fs::write(vendor, WEB).unwrap();
    let vendor = json!({ "unit": "vendor.service" });
    let plan = host.plan("systemd_mask_unit", vendor.clone());
    assert_eq!(plan["changes"][0]["after"]["unit_file_state"], "masked");
    host.call("systemd_mask_unit", vendor.clone());
    assert_eq!(
        host.systemd.systemctl(&["is-enabled", "vendor.service"]),
        "masked"
    );
    let text = host
        .refuse("systemd_start_unit", vendor.clone())
        .to_string();
    assert!(text.contains("masked"), "{text}");
    host.call("systemd_unmask_unit", vendor);
    assert_eq!(
        host.systemd.systemctl(&["is-enabled", "vendor.service"]),
        "disabled"
    );
}

#[test]
fn a_job_that_does_not_end_is_given_up_at_the_deadline_and_when_it_is_taken_back() {
    let Some(host) = host() else { return };
    let never = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nTimeoutStartSec=1h\nExecStart=/bin/sleep 1h\n";
    host.systemd.unit("never.service", never);
    let begun = Instant::now();
    let unit = json!({ "unit": "never.service" });
    // On a busy machine the deadline may pass before there is a job.
    lab::wait_for("a job that goes on", Duration::from_secs(60), || {
        let options = Options {
            deadline: Some(Instant::now() + Duration::from_millis(500)),
            ..Options::default()
        };
        let result = call_with(
            &host.registry,
            Role::Admin,
            "systemd_start_unit",
            unit.clone(),
            options,
        );
        assert!(matches!(result, Err(ToolError::TimedOut)), "{result:?}");
        let jobs = host.call("systemd_list_jobs", json!({}));
        let jobs = jobs["jobs"].as_array().unwrap();
        let job = jobs.iter().find(|job| job["unit"] == "never.service")?;
        assert_eq!(job["job_type"], "start");
        Some(())
    });
    let cancel = Cancel::default();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        });
        let caller = caller(Role::Admin);
        host.registry.call(
            &caller,
            "systemd_start_unit",
            unit,
            Options::default(),
            &cancel,
            &|_| {},
        )
    });
    assert!(matches!(result, Err(ToolError::Cancelled)), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let Some(host) = host() else { return };
    let error = host.refuse("systemd_unit_status", json!({ "unit": "nonsense.service" }));
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
    let error = host.refuse("systemd_start_unit", json!({ "unit": "nonsense.service" }));
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
    let error = host.refuse("systemd_start_unit", json!({ "unit": "web; reboot" }));
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    for (tool, unit) in [
        ("systemd_stop_unit", "dbus.service"),
        ("systemd_restart_unit", "op-dbusd.service"),
        ("systemd_mask_unit", "dbus.service"),
    ] {
        host.systemd.systemctl(&["start", "dbus.service"]);
        let error = host.refuse(tool, json!({ "unit": unit }));
        assert!(
            matches!(error, ToolError::Refused(_) | ToolError::NotFound(_)),
            "{tool}: {error}"
        );
    }
    assert_eq!(
        host.systemd.systemctl(&["is-active", "dbus.service"]),
        "active"
    );
    let result = call(
        &host.registry,
        Role::Viewer,
        "systemd_start_unit",
        json!({ "unit": "web.service" }),
    );
    assert!(matches!(result, Err(ToolError::Refused(_))));
    let fails =
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n";
    host.systemd.unit("fails.service", fails);
    let text = host
        .refuse("systemd_start_unit", json!({ "unit": "fails.service" }))
        .to_string();
    assert!(text.contains("exit status 7"), "{text}");
}

#[test]
fn without_a_bus_that_is_said() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    let registry = registry(machine.dir(), "");
    let error = call(&registry, Role::Viewer, "systemd_list_units", json!({})).unwrap_err();
    assert!(matches!(error, ToolError::Unavailable(_)), "{error}");
}
