//! Containers as units of systemd.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use declaration::ContainerName;
use reconcile::PluginError;
use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};

use super::layout::Layout;
use super::program;
use super::runtime::STOP_SECONDS;

/// What the first line of a unit of ours begins with.
const HEADER: &str = "# op-dbus: ";
/// The base whose units have the plain name and outlive a start of the machine.
const STANDARD_BASE: &str = "/var/lib/op-dbus";
/// What wants the containers that start with the machine.
const TARGET: &str = "multi-user.target";
const PERMANENT: &str = "/etc/systemd/system";
const VOLATILE: &str = "/run/systemd/system";

/// systemd, and the unit template of one base's containers.
#[derive(Debug)]
pub(super) struct Systemd {
    systemctl: PathBuf,
    containers: PathBuf,
    /// Where the unit template is written.
    directory: PathBuf,
    /// The unit template's name without `@.service`.
    stem: String,
}

impl Systemd {
    /// `None` where systemd does not run the machine, or runs one outside of the namespaces that this
    /// program is in and whose files and links it could not see.
    pub(super) fn detect(layout: &Layout) -> Option<Self> {
        let network = |task: &str| fs::read_link(format!("/proc/{task}/ns/net")).ok();
        // sd_booted(3).
        let booted = Path::new(VOLATILE).is_dir();
        if !booted || network("1")? != network("thread-self")? {
            return None;
        }
        let systemctl = program::find("systemctl")?;
        let standard = layout.base() == Path::new(STANDARD_BASE);
        let permanent = standard && access(PERMANENT, Access::WRITE_OK).is_ok();
        Some(Self {
            systemctl,
            containers: layout.containers(),
            directory: PathBuf::from(if permanent { PERMANENT } else { VOLATILE }),
            stem: stem(layout.base()),
        })
    }

    /// How a person sees what a container's unit said.
    pub(super) fn journal(&self, name: &ContainerName) -> String {
        format!("journalctl --unit {}", self.unit(name))
    }

    fn unit(&self, name: &ContainerName) -> String {
        unit(&self.stem, name)
    }

    fn call(&self, arguments: &[&str], doing: &str) -> Result<String, PluginError> {
        let mut command = Command::new(&self.systemctl);
        program::output(command.args(arguments), doing)
    }

    /// Has systemd start a container; it may not run yet when this returns.
    pub(super) fn start(&self, name: &ContainerName) -> Result<(), PluginError> {
        self.write_unit()?;
        let doing = format!("start container {name}");
        // What is left of an earlier failure would count against the limit of starts.
        let _ = self.call(&["reset-failed", &self.unit(name)], &doing);
        self.call(&["start", &self.unit(name)], &doing).map(drop)
    }

    /// Has systemd stop a container that it has started, and waits for the end.
    pub(super) fn stop(&self, name: &ContainerName) -> Result<(), PluginError> {
        let doing = format!("stop container {name}");
        self.call(&["stop", &self.unit(name)], &doing).map(drop)
    }

    /// Whether the unit neither runs nor is about to.
    pub(super) fn has_ended(&self, name: &ContainerName) -> Result<bool, PluginError> {
        let doing = format!("look at container {name}");
        let arguments = [
            "show",
            "--property=ActiveState",
            "--value",
            &self.unit(name),
        ];
        let state = self.call(&arguments, &doing)?;
        Ok(matches!(state.trim(), "inactive" | "failed"))
    }

    pub(super) fn is_enabled(&self, name: &ContainerName) -> bool {
        let wanted = self.directory.join(format!("{TARGET}.wants"));
        wanted.join(self.unit(name)).symlink_metadata().is_ok()
    }

    pub(super) fn enable(&self, name: &ContainerName, wanted: bool) -> Result<(), PluginError> {
        self.write_unit()?;
        let unit = self.unit(name);
        // Not `enable`, which asks the unit what wants it: NixOS writes units without that section.
        let mut arguments = match wanted {
            true => vec!["add-wants", "--quiet", TARGET, &unit],
            false => vec!["disable", "--quiet", &unit],
        };
        if self.directory == Path::new(VOLATILE) {
            arguments.push("--runtime");
        }
        let doing = format!("let container {name} start with the machine, or not");
        self.call(&arguments, &doing).map(drop)
    }

    /// Writes the unit template unless it is there; one that is not ours is used as it is.
    fn write_unit(&self) -> Result<(), PluginError> {
        let name = format!("{}@.service", self.stem);
        if self.directory == Path::new(VOLATILE) && Path::new(PERMANENT).join(&name).exists() {
            return Ok(());
        }
        let path = self.directory.join(name);
        let failed = |error| PluginError::failed(format!("write {}", path.display()), error);
        let text = self.text()?;
        match fs::read_to_string(&path) {
            Ok(found) if found == text || !found.starts_with(HEADER) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let unfinished = self.directory.join(format!(".{}.new", self.stem));
        fs::write(&unfinished, text).map_err(failed)?;
        fs::rename(&unfinished, &path).map_err(failed)?;
        self.call(
            &["daemon-reload"],
            "make systemd read the unit of containers",
        )
        .map(drop)
    }

    fn text(&self) -> Result<String, PluginError> {
        let containers = quote(&self.containers);
        let start = quote(&program::path("lxc-start")?);
        let stop = quote(&program::path("lxc-stop")?);
        let path = program::path_for_lxc();
        let path = path.to_string_lossy();
        let patience = STOP_SECONDS + 15;
        Ok(format!(
            "{HEADER}runs a container; written again when it is missing or old.\n\
             [Unit]\n\
             Description=Container %i\n\
             Documentation=man:lxc-start(1)\n\
             After=network.target ovs-vswitchd.service openvswitch-switch.service\n\
             ConditionPathExists={}/%i/config\n\
             \n\
             [Service]\n\
             Delegate=yes\n\
             KillMode=mixed\n\
             TimeoutStopSec={patience}\n\
             Environment=PATH={path}\n\
             ExecStart={start} -F -P {containers} -n %i\n\
             ExecStop={stop} -P {containers} -n %i -t {STOP_SECONDS}\n",
            escape(&self.containers)
        ))
    }
}

fn unit(stem: &str, name: &ContainerName) -> String {
    format!("{stem}@{name}.service")
}

/// The unit that a container below `base` runs in where systemd runs the machine.
pub fn unit_of(base: &Path, name: &ContainerName) -> String {
    unit(&stem(base), name)
}

/// The name of a base's unit template: that of another than the standard base has a part of its own, so
/// that containers of the same name do not meet.
fn stem(base: &Path) -> String {
    if base == Path::new(STANDARD_BASE) {
        return "op-dbus-container".to_owned();
    }
    let digest = Sha256::digest(base.as_os_str().as_encoded_bytes());
    let digits: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("op-dbus-container-{digits}")
}

/// A path within a line of a unit: systemd.unit(5) gives `%` a meaning.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

/// A path as one word of a command line in a unit, by systemd.service(5).
fn quote(path: &Path) -> String {
    let text = escape(path)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "$$");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A systemd that notes what it is told.
    fn systemd(directory: &Path) -> Systemd {
        let systemctl = directory.join("systemctl");
        let notes = directory.join("notes");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\necho active\n",
            notes.display()
        );
        fs::write(&systemctl, script).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        Systemd {
            systemctl,
            containers: PathBuf::from("/srv/100% mine/@containers"),
            directory: directory.to_owned(),
            stem: stem(Path::new("/srv/100% mine")),
        }
    }

    fn notes(directory: &Path) -> Vec<String> {
        let notes = fs::read_to_string(directory.join("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bases_do_not_share_units() {
        assert_eq!(stem(Path::new("/var/lib/op-dbus")), "op-dbus-container");
        assert_ne!(stem(Path::new("/srv/a")), stem(Path::new("/srv/b")));
    }

    #[test]
    fn a_unit_is_written_once_and_a_foreign_one_stays() {
        if program::find("lxc-start").is_none() {
            return lab::skip("needs lxc");
        }
        let directory = tempfile::tempdir().unwrap();
        let systemd = systemd(directory.path());
        let name: ContainerName = "web-01".parse().unwrap();
        let unit = directory.path().join(format!("{}@.service", systemd.stem));
        systemd.start(&name).unwrap();
        systemd.start(&name).unwrap();
        let text = fs::read_to_string(&unit).unwrap();
        assert!(text.starts_with(HEADER));
        assert!(
            text.contains(" -F -P \"/srv/100%% mine/@containers\" -n %i\n"),
            "{text}"
        );
        let instance = format!("{}@web-01.service", systemd.stem);
        let start = [
            format!("reset-failed {instance}"),
            format!("start {instance}"),
        ];
        let mut expected = vec!["daemon-reload".to_owned()];
        expected.extend(start.iter().chain(&start).cloned());
        assert_eq!(notes(directory.path()), expected);
        fs::write(&unit, "[Unit]\n").unwrap();
        systemd.start(&name).unwrap();
        assert_eq!(fs::read_to_string(&unit).unwrap(), "[Unit]\n");
    }

    #[test]
    fn systemd_accepts_the_unit() {
        if program::find("systemd-analyze").is_none() || program::find("lxc-start").is_none() {
            return lab::skip("needs systemd-analyze and lxc");
        }
        let directory = tempfile::tempdir().unwrap();
        let systemd = systemd(directory.path());
        systemd.write_unit().unwrap();
        let unit = directory.path().join(format!("{}@.service", systemd.stem));
        let instance = directory.path().join("op-dbus-container@a.service");
        fs::rename(unit, &instance).unwrap();
        let verdict = lab::output("systemd-analyze", &["verify", instance.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&verdict.stderr).into_owned();
        let about_it: Vec<_> = text
            .lines()
            .filter(|line| line.contains("op-dbus"))
            .collect();
        assert_eq!(about_it, [""; 0], "{text}");
    }

    #[test]
    fn a_container_starts_with_the_machine_when_systemd_says_so() {
        if program::find("lxc-start").is_none() {
            return lab::skip("needs lxc");
        }
        let directory = tempfile::tempdir().unwrap();
        let systemd = systemd(directory.path());
        let name: ContainerName = "web-01".parse().unwrap();
        systemd.enable(&name, true).unwrap();
        let last = notes(directory.path()).pop().unwrap();
        let unit = systemd.unit(&name);
        assert_eq!(last, format!("add-wants --quiet multi-user.target {unit}"));
        assert!(!systemd.is_enabled(&name));
        let wants = directory.path().join("multi-user.target.wants");
        fs::create_dir(&wants).unwrap();
        fs::write(wants.join(systemd.unit(&name)), "").unwrap();
        assert!(systemd.is_enabled(&name));
        assert!(!systemd.has_ended(&name).unwrap());
    }
}
