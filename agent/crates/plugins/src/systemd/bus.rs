//! systemd's manager on the bus (org.freedesktop.systemd1(5)).

use std::time::{Duration, Instant};

use dbus::{Bus, Listener, OwnedObjectPath, Peer, Properties};

use super::error::UnitError;

const NAME: &str = "org.freedesktop.systemd1";
const MANAGER: Peer<'static> = Peer {
    name: NAME,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
/// How long a job is waited for; a unit's own limit is 90 s by default.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long one look for a signal takes.
const LOOK: Duration = Duration::from_millis(100);
/// How many looks without a signal until the job itself is asked for.
const LOOKS: u32 = 10;
/// How long `daemon-reload` may take.
const RELOAD: Duration = Duration::from_secs(90);

/// Without these the host could not be asked to start them again.
const PROTECTED: [&str; 5] = [
    "op-dbusd.service",
    "op-dbusd.socket",
    "dbus.service",
    "dbus.socket",
    "dbus-broker.service",
];

/// A unit as systemd lists it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Whether its definition was read: `loaded`, `not-found`, `masked` and so on.
    pub load: String,
    /// `active`, `inactive`, `failed` and so on.
    pub active: String,
    /// The state in the words of its type, such as `running`.
    pub sub: String,
}

/// A job in systemd's queue.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub id: u32,
    /// The unit.
    pub unit: String,
    /// `start`, `stop` and so on.
    pub kind: String,
    /// `running` or `waiting`.
    pub state: String,
}

/// A file that was written or removed to enable, disable, mask or unmask a unit.
#[derive(Debug, Clone)]
pub struct FileChange {
    /// `symlink` or `unlink`.
    pub kind: String,
    /// The file.
    pub file: String,
    /// Where a link leads.
    pub destination: String,
}

/// What can be done to a unit by a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop it if it runs, and start it.
    Restart,
    /// Have it read its configuration again.
    Reload,
}

impl Action {
    fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::Reload => "ReloadUnit",
        }
    }

    /// The action as a noun.
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

/// systemd, as it runs this machine.
pub struct Manager {
    bus: Bus,
}

impl Manager {
    /// Connects to the bus and finds systemd on it.
    pub fn connect() -> Result<Self, UnitError> {
        let bus = Bus::system()?;
        match bus.offers(NAME)? {
            true => Ok(Self { bus }),
            false => Err(UnitError::NoSystemd),
        }
    }

    /// Units by their names, in that order; also those that are not there.
    pub fn by_names(&self, names: &[&str]) -> Result<Vec<Listed>, UnitError> {
        let rows: Vec<Row> = self.bus.call(MANAGER, "ListUnitsByNames", &(names,))?;
        Ok(rows.into_iter().map(listed).collect())
    }

    /// Units in memory whose name fits one of the patterns and whose state is one of the words; all if there
    /// are none.
    pub fn by_patterns(
        &self,
        states: &[&str],
        patterns: &[&str],
    ) -> Result<Vec<Listed>, UnitError> {
        let arguments = (states, patterns);
        let rows: Vec<Row> = self.bus.call(MANAGER, "ListUnitsByPatterns", &arguments)?;
        Ok(rows.into_iter().map(listed).collect())
    }

    /// The jobs in the queue.
    pub fn jobs(&self) -> Result<Vec<Job>, UnitError> {
        type JobRow = (
            u32,
            String,
            String,
            String,
            OwnedObjectPath,
            OwnedObjectPath,
        );
        let rows: Vec<JobRow> = self.bus.call(MANAGER, "ListJobs", &())?;
        let job = |(id, unit, kind, state, _, _)| Job {
            id,
            unit,
            kind,
            state,
        };
        Ok(rows.into_iter().map(job).collect())
    }

    /// Everything that systemd says of a unit, whether it is there or not.
    pub fn properties(&self, unit: &str) -> Result<Properties, UnitError> {
        let path: OwnedObjectPath = self.bus.call(MANAGER, "LoadUnit", &(unit,))?;
        let peer = Peer {
            path: path.as_str(),
            interface: "",
            ..MANAGER
        };
        Ok(self.bus.properties(peer)?)
    }

    /// Whether a unit's file is `enabled`, `disabled`, `static`, `masked` and so on; `None` if it has no file.
    pub fn file_state(&self, unit: &str) -> Result<Option<String>, UnitError> {
        match self.bus.call(MANAGER, "GetUnitFileState", &(unit,)) {
            Ok(state) => Ok(Some(state)),
            Err(error) => match error.name() {
                Some(
                    "org.freedesktop.DBus.Error.FileNotFound"
                    | "org.freedesktop.systemd1.NoSuchUnit",
                ) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Enables a unit: links its file where its `[Install]` section says.
    pub fn enable(&self, unit: &str, runtime: bool) -> Result<Vec<FileChange>, UnitError> {
        let units = [unit];
        let arguments = (units.as_slice(), runtime, false);
        let answer = self.bus.call(MANAGER, "EnableUnitFiles", &arguments);
        let (_, changes): (bool, Vec<_>) = answer.map_err(|error| of_file(unit, error))?;
        self.changed(changes)
    }

    /// Disables a unit: takes those links away.
    pub fn disable(&self, unit: &str, runtime: bool) -> Result<Vec<FileChange>, UnitError> {
        self.files("DisableUnitFiles", unit, &([unit].as_slice(), runtime))
    }

    /// Masks a unit, so that nothing can start it.
    pub fn mask(&self, unit: &str, runtime: bool) -> Result<Vec<FileChange>, UnitError> {
        permit_mask(unit)?;
        self.files("MaskUnitFiles", unit, &([unit].as_slice(), runtime, false))
    }

    /// Takes the mask off again.
    pub fn unmask(&self, unit: &str, runtime: bool) -> Result<Vec<FileChange>, UnitError> {
        self.files("UnmaskUnitFiles", unit, &([unit].as_slice(), runtime))
    }

    fn files<B>(
        &self,
        method: &str,
        unit: &str,
        arguments: &B,
    ) -> Result<Vec<FileChange>, UnitError>
    where
        B: serde::Serialize + dbus::DynamicType,
    {
        let changes = self.bus.call(MANAGER, method, arguments);
        self.changed(changes.map_err(|error| of_file(unit, error))?)
    }

    /// Has systemd read its files again if some were changed.
    fn changed(
        &self,
        changes: Vec<(String, String, String)>,
    ) -> Result<Vec<FileChange>, UnitError> {
        if !changes.is_empty() {
            let () = self.bus.call_within(RELOAD, MANAGER, "Reload", &())?;
        }
        let change = |(kind, file, destination)| FileChange {
            kind,
            file,
            destination,
        };
        Ok(changes.into_iter().map(change).collect())
    }

    /// Has systemd do something to a unit, and waits until it is done, as long as it is `wanted`.
    pub fn run(
        &self,
        action: Action,
        unit: &str,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(), UnitError> {
        permit(action, unit)?;
        let owner = self.bus.owner(NAME)?;
        let peer = Peer {
            name: &owner,
            ..MANAGER
        };
        // Before the job is made, so that its end is not missed.
        let listener = self.bus.listen(peer)?;
        match self.bus.call(MANAGER, "Subscribe", &()) {
            Err(error) if error.name() != Some("org.freedesktop.systemd1.AlreadySubscribed") => {
                return Err(error.into());
            }
            Ok(()) | Err(_) => {}
        }
        let job: OwnedObjectPath = self
            .bus
            .call(MANAGER, action.method(), &(unit, "replace"))
            .map_err(|error| of_unit(unit, error))?;
        match self.follow(action, unit, &job, &listener, wanted)?.as_str() {
            "done" => Ok(()),
            result => Err(UnitError::Job {
                verb: action.word(),
                unit: unit.to_owned(),
                result: result.to_owned(),
                detail: self.detail(unit),
            }),
        }
    }

    /// How a job ended, in systemd's word.
    fn follow(
        &self,
        action: Action,
        unit: &str,
        job: &OwnedObjectPath,
        listener: &Listener,
        wanted: &dyn Fn() -> bool,
    ) -> Result<String, UnitError> {
        let deadline = Instant::now() + PATIENCE;
        let mut silent = 0;
        while Instant::now() < deadline {
            if !wanted() {
                return Err(UnitError::Unwanted);
            }
            match listener.next(LOOK)? {
                Some(message) => {
                    if let Some(result) = removed(&message, job) {
                        return Ok(result);
                    }
                }
                // A job whose end went unheard, as while systemd executes itself anew, did what it could.
                None if silent >= LOOKS && !self.exists(job) => match listener.next(LOOK)? {
                    Some(message) => {
                        return Ok(removed(&message, job).unwrap_or_else(|| "done".to_owned()));
                    }
                    None => return Ok("done".to_owned()),
                },
                None => silent = if silent >= LOOKS { 0 } else { silent + 1 },
            }
        }
        Err(UnitError::Slow {
            verb: action.word(),
            unit: unit.to_owned(),
            seconds: PATIENCE.as_secs(),
        })
    }

    fn exists(&self, job: &OwnedObjectPath) -> bool {
        let peer = Peer {
            path: job.as_str(),
            interface: "org.freedesktop.systemd1.Job",
            ..MANAGER
        };
        match self.bus.property(peer, "State") {
            Ok(_) => true,
            Err(error) => !error.name().is_some_and(|name| {
                name.ends_with(".UnknownObject") || name.ends_with(".NoSuchJob")
            }),
        }
    }

    /// What systemd knows of a unit's last end, in brackets.
    pub(super) fn detail(&self, unit: &str) -> String {
        let Ok(properties) = self.properties(unit) else {
            return String::new();
        };
        let text = |name: &str| {
            let value = properties.get(name).map(|value| dbus::json(value));
            let text = value.as_ref().and_then(|value| value.as_str());
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let number = |name: &str| {
            let value = properties.get(name).map(|value| dbus::json(value));
            value.and_then(|value| value.as_i64())
        };
        let mut parts: Vec<String> = text("Result")
            .filter(|word| word != "success")
            .into_iter()
            .collect();
        if let Some(status) = number("ExecMainStatus").filter(|status| *status != 0) {
            parts.push(match number("ExecMainCode") {
                // CLD_EXITED of waitid(2).
                Some(1) => format!("exit status {status}"),
                _ => format!("signal {status}"),
            });
        }
        parts.extend(text("StatusText"));
        match parts.is_empty() {
            true => String::new(),
            false => format!(" ({})", parts.join(", ")),
        }
    }
}

/// Refuses jobs that would cut off this program.
pub fn permit(action: Action, unit: &str) -> Result<(), UnitError> {
    match action {
        Action::Stop => protect("stopped", unit),
        Action::Restart => protect("restarted", unit),
        Action::Start | Action::Reload => Ok(()),
    }
}

/// Refuses masks that would cut off this program.
pub fn permit_mask(unit: &str) -> Result<(), UnitError> {
    protect("masked", unit)
}

fn protect(done: &str, unit: &str) -> Result<(), UnitError> {
    match protected(unit) {
        true => Err(UnitError::Protected(format!(
            "{unit} must not be {done} from here, since nothing could be asked of this host any more; a person \
             can do it with systemctl"
        ))),
        false => Ok(()),
    }
}

/// Whether this program could not go on without the unit.
pub(super) fn protected(unit: &str) -> bool {
    PROTECTED.contains(&unit)
}

/// The result in a `JobRemoved` of this job.
fn removed(message: &dbus::Message, job: &OwnedObjectPath) -> Option<String> {
    let header = message.header();
    if header.member()?.as_str() != "JobRemoved" {
        return None;
    }
    let body = message.body();
    let (_, path, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize().ok()?;
    (path == *job).then_some(result)
}

fn listed(row: Row) -> Listed {
    let (name, description, load, active, sub, ..) = row;
    Listed {
        name,
        description,
        load,
        active,
        sub,
    }
}

fn of_unit(unit: &str, error: dbus::Error) -> UnitError {
    match error.name() {
        Some("org.freedesktop.systemd1.NoSuchUnit") => UnitError::NotFound(unit.to_owned()),
        _ => error.into(),
    }
}

fn of_file(unit: &str, error: dbus::Error) -> UnitError {
    match error.name() {
        Some("System.Error.EROFS") => UnitError::ReadOnly(unit.to_owned()),
        Some("org.freedesktop.DBus.Error.FileNotFound" | "org.freedesktop.systemd1.NoSuchUnit") => {
            UnitError::NotFound(unit.to_owned())
        }
        _ => error.into(),
    }
}
