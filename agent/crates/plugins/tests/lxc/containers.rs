//! Making, starting, stopping and removing containers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use lab::{names, output, run, subvolume_show, text, wait_for};

use crate::fixture::{BUSYBOX, Host, said, steps, with, with_a};

#[test]
fn a_container_is_made_stopped_started_and_removed() {
    let Some(host) = Host::new() else { return };
    let plan = host.apply(&with_a(""));
    assert_eq!(
        steps(&plan),
        ["create template:busybox", "create container:a"]
    );
    assert_eq!(host.state("a"), "RUNNING");
    assert_eq!(said(&host.lxc("lxc-ls", "", &["-1"])).trim(), "a");
    assert_eq!(
        subvolume_show(&host.container("a"), "Parent UUID"),
        subvolume_show(&host.template("busybox"), "UUID")
    );
    let plan = host.apply(&with_a(", running: false"));
    assert_eq!(steps(&plan), ["update container:a"]);
    assert_eq!(host.state("a"), "STOPPED");
    host.apply(&with_a(""));
    assert_eq!(host.state("a"), "RUNNING");
    let plan = host.apply(BUSYBOX);
    assert_eq!(steps(&plan), ["delete container:a!"]);
    assert_eq!(names(&host.containers()), [""; 0]);
    let plan = host.apply("");
    assert_eq!(steps(&plan), ["delete template:busybox"]);
    assert_eq!(names(&host.base.join("@templates")), [""; 0]);
}

#[test]
fn root_of_a_container_is_nobody_on_the_machine() {
    let Some(host) = Host::new() else { return };
    let container = "{template: busybox, network: none, memory: 64MiB}";
    host.apply(&with(&format!("a: {container}, b: {container}")));
    let map = |name: &str| {
        let map = fs::read_to_string(format!("/proc/{}/uid_map", host.init(name))).unwrap();
        map.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(map("a")[0], "0");
    assert_eq!(map("a")[2], "65536");
    let first: u32 = map("a")[1].parse().unwrap();
    assert!((0x7000_0000..=0x7fff_0000).contains(&first));
    assert_ne!(map("a")[1], map("b")[1]);
    // What runs as root there runs as somebody else here, and what it writes belongs to root, so that a
    // snapshot needs no change of owners.
    let status = fs::read_to_string(format!("/proc/{}/status", host.init("a"))).unwrap();
    assert!(
        status.contains(&format!("\nUid:\t{first}\t{first}\t")),
        "{status}"
    );
    host.ask("a", &["touch", "/root/mine"]);
    let written = host
        .container("a")
        .join("rootfs/root/mine")
        .metadata()
        .unwrap();
    assert_eq!((written.uid(), written.gid()), (0, 0));
}

#[test]
fn nobody_on_the_machine_reaches_the_programs_of_a_container() {
    let Some(host) = Host::new() else { return };
    host.apply(&with(
        "a: {template: busybox, memory: 64MiB, running: true}",
    ));
    let as_user = |path: &str| {
        let user = [
            "--reuid=12345",
            "--regid=12345",
            "--clear-groups",
            "test",
            "-e",
            path,
        ];
        output("setpriv", &user).status.success()
    };
    assert!(as_user(text(&host.base)));
    assert!(!as_user(text(&host.container("a").join("rootfs"))));
    assert!(!as_user(text(&host.base.join("sockets/containers/a"))));
}

#[test]
fn a_privileged_container_has_the_machine_s_ids() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", unprivileged: false"));
    let map = fs::read_to_string(format!("/proc/{}/uid_map", host.init("a"))).unwrap();
    let map: Vec<_> = map.split_whitespace().collect();
    assert_eq!(map, ["0", "0", "4294967295"]);
}

#[test]
fn limits_are_in_the_control_groups() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", cores: 3, swap: 32MiB"));
    let pid = host.init("a");
    assert_eq!(
        limit(pid, "memory", "memory.limit_in_bytes", "memory.max"),
        64 << 20
    );
    assert_eq!(
        limit(
            pid,
            "memory",
            "memory.memsw.limit_in_bytes",
            "memory.swap.max"
        ) & !(64 << 20),
        32 << 20
    );
    assert_eq!(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max"), 300_000);
    // Others are set while it runs: more than the old sum of memory and swap, and less again.
    host.apply(&with_a(", cores: 1, swap: 0").replace("64MiB", "512MiB"));
    assert_eq!(
        limit(pid, "memory", "memory.limit_in_bytes", "memory.max"),
        512 << 20
    );
    assert_eq!(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max"), 100_000);
    host.apply(&with_a(", cores: 1, swap: 0"));
    assert_eq!(
        limit(pid, "memory", "memory.limit_in_bytes", "memory.max"),
        64 << 20
    );
    assert_eq!(host.init("a"), pid);
    // And are in force after the next start.
    host.apply(&with_a(", cores: 1, swap: 0, running: false"));
    host.apply(&with_a(", cores: 1, swap: 0"));
    assert_eq!(
        limit(
            host.init("a"),
            "memory",
            "memory.limit_in_bytes",
            "memory.max"
        ),
        64 << 20
    );
}

#[test]
fn a_limit_that_cannot_be_set_is_an_error_and_not_kept() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let config = fs::read_to_string(host.container("a").join("config")).unwrap();
    // What is in a tmpfs cannot go away, and there is no swap space to go to.
    host.ask(
        "a",
        &["sh", "-c", "dd if=/dev/zero of=/run/ballast bs=1M count=40"],
    );
    let text = host.fail(&with_a(", swap: 0").replace("64MiB", "8MiB"));
    assert!(text.contains("of container a"), "{text}");
    assert_eq!(
        fs::read_to_string(host.container("a").join("config")).unwrap(),
        config
    );
    let pid = host.init("a");
    assert_eq!(
        limit(pid, "memory", "memory.limit_in_bytes", "memory.max"),
        64 << 20
    );
}

/// A limit of a process, in whichever version of control groups the machine has.
fn limit(pid: u32, controller: &str, version_1: &str, version_2: &str) -> u64 {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            (fields.next()? == wanted).then(|| fields.next().unwrap().to_owned())
        })
    };
    let file = match of(controller) {
        Some(group) => format!("/sys/fs/cgroup/{controller}{group}/{version_1}"),
        None => format!("/sys/fs/cgroup{}/{version_2}", of("").unwrap()),
    };
    let text = fs::read_to_string(&file).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn what_the_container_does_not_see_needs_no_new_start() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let pid = host.init("a");
    host.apply(&with_a(", autostart: false"));
    assert_eq!(host.init("a"), pid);
}

#[test]
fn template_and_privilege_stay() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(", running: false"));
    let text = host.refusal(&with_a(", running: false, unprivileged: false"));
    assert!(text.contains("destroyed and made anew"), "{text}");
    let other = "templates: {busybox: {recipe: busybox}, other: {recipe: busybox}}, \
                 containers: {a: {template: other, network: none}}";
    let text = host.refusal(other);
    assert!(
        text.contains("made from template busybox and not other"),
        "{text}"
    );
}

#[test]
fn containers_made_at_once_have_user_ids_of_their_own() {
    const COUNT: usize = 64;
    let Some(host) = Host::new() else { return };
    let list: Vec<_> = (0..COUNT)
        .map(|i| format!("c{i}: {{template: busybox, network: none, running: false}}"))
        .collect();
    host.apply(&with(&list.join(", ")));
    let maps: BTreeSet<_> = (0..COUNT)
        .map(|i| {
            let config =
                fs::read_to_string(host.container(&format!("c{i}")).join("config")).unwrap();
            let map = config.lines().find(|line| line.starts_with("lxc.idmap"));
            map.unwrap().to_owned()
        })
        .collect();
    assert_eq!(maps.len(), COUNT);
}

#[test]
fn containers_started_at_once_do_not_meet() {
    let Some(host) = Host::new() else { return };
    let list: Vec<_> = (0..8)
        .map(|i| format!("c{i}: {{template: busybox, network: none, memory: 32MiB}}"))
        .collect();
    host.apply(&with(&list.join(", ")));
    let maps: BTreeSet<_> = (0..8)
        .map(|i| {
            fs::read_to_string(format!("/proc/{}/uid_map", host.init(&format!("c{i}")))).unwrap()
        })
        .collect();
    assert_eq!(maps.len(), 8);
}

#[test]
fn containers_start_after_those_that_they_name() {
    let Some(host) = Host::new() else { return };
    let plan = host
        .plan(&with("a: {template: busybox, network: none, after: [b]}, b: {template: busybox, network: none}"))
        .unwrap();
    assert_eq!(
        steps(&plan),
        [
            "create template:busybox",
            "create container:b",
            "create container:a"
        ]
    );
}

#[test]
fn a_command_runs_in_a_container_with_its_arguments_as_they_are() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let name = "a".parse().unwrap();
    let argv = [
        "sh",
        "-c",
        "printf '%s|' \"$@\"; exit 7",
        "sh",
        "$HOME",
        "a  b",
        ";reboot",
    ];
    let output = plugins::lxc::attach_command(&host.base, &name, &argv)
        .env("SECRET", "of the caller")
        .output()
        .unwrap();
    assert_eq!(said(&output), "$HOME|a  b|;reboot|");
    assert_eq!(output.status.code(), Some(7));
    let environment = plugins::lxc::attach_command(&host.base, &name, &["env"])
        .env("SECRET", "of the caller")
        .output()
        .unwrap();
    assert!(!said(&environment).contains("SECRET"), "{environment:?}");
}

#[test]
fn a_container_is_ready_for_programs() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    assert_eq!(host.ask("a", &["hostname"]).trim(), "a");
    for program in ["ping", "ip", "nc", "sh", "init"] {
        host.ask("a", &["which", program]);
    }
    // Processes of the machine are not to be seen, and its init is the container's own.
    let comm = host.ask("a", &["cat", "/proc/1/comm"]);
    assert_eq!(comm.trim(), "init");
    let mounts = host.ask("a", &["cat", "/proc/mounts"]);
    assert!(
        mounts.contains(" / btrfs rw,") && mounts.contains("idmapped"),
        "{mounts}"
    );
    let refused = host.inside("a", &["mknod", "/dev/sda", "b", "8", "0"]);
    let opened = host.inside("a", &["dd", "if=/dev/sda", "of=/dev/null", "count=1"]);
    assert!(!refused.status.success() || !opened.status.success());
    assert!(
        run("ip", &["-o", "link"]).lines().count() == 1,
        "no link on the machine"
    );
}

#[test]
fn what_a_container_writes_to_its_console_is_kept() {
    let Some(host) = Host::new() else { return };
    host.apply(&with_a(""));
    let name = "a".parse().unwrap();
    let console = || {
        let written = plugins::lxc::console(&host.base, &name).unwrap();
        String::from_utf8_lossy(&written).into_owned()
    };
    let say = |what: &str| {
        let script = format!("echo {what} > /dev/console");
        let argv = ["sh", "-c", &script];
        let said = plugins::lxc::attach_command(&host.base, &name, &argv).output();
        assert!(said.unwrap().status.success());
    };
    say("here-i-am");
    let patience = Duration::from_secs(20);
    wait_for("the line", patience, || {
        console().contains("here-i-am\r\n").then_some(())
    });
    // More than is kept: the file before is full, the one now is not.
    let script = "seq 100000 999999 | head -70000 > /dev/console; echo the-end > /dev/console";
    let said = plugins::lxc::attach_command(&host.base, &name, &["sh", "-c", script]).output();
    assert!(said.unwrap().status.success());
    wait_for("the end", patience, || {
        console().ends_with("the-end\r\n").then_some(())
    });
    assert!(console().len() <= 512 << 10 && !console().contains("here-i-am"));
    host.apply(&with_a(", running: false"));
    assert!(console().contains("the-end"));
    // What nobody may read of other containers' root is as closed.
    let file = host.containers().join("a/console.log");
    assert_eq!(fs::metadata(file).unwrap().mode() & 0o077, 0);
}
