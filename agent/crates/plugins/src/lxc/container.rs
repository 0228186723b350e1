//! One container: what it is, and each way of changing it.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use declaration::{ContainerName, TemplateName};
use reconcile::{Change, Context, Direction, Observed, Owner, PluginError, Transition, Verb};
use serde_json::Value;

use super::Site;
use super::config::{self, Rendering};
use super::ids;
use super::place::{Place, describe};
use super::restart;
use super::runtime::Stop;
use super::seal::{Kind, Seal};
use super::state::{self, Configuration, ContainerState};

/// The name of LXC's configuration within a container's directory.
const CONFIG: &str = "config";
/// The configuration that a container had before it was taken over.
const CONFIG_BEFORE: &str = "config.before-op-dbus";

/// Whether what is there can become as declared.
pub(super) fn transition(before: &Value, after: &Value) -> Transition {
    if let Some(found) = state::found(before) {
        return match found {
            state::ROOT_FILE_SYSTEM => Transition::Update,
            found => Transition::Refuse(format!(
                "what is there is a {found}, and only a subvolume with a `rootfs` owned by root can \
                 be taken over: move it away, and apply to make a new one"
            )),
        };
    }
    if restart::is_all_that_differs(before, after) {
        return Transition::Keep { note: None };
    }
    let (Some(before), Some(after)) = (ContainerState::parse(before), ContainerState::parse(after))
    else {
        return Transition::Update;
    };
    let changed = if before.template != after.template {
        format!(
            "it was made from template {} and not {}",
            before.template, after.template
        )
    } else if before.unprivileged != after.unprivileged {
        "a container stays privileged or unprivileged".to_owned()
    } else {
        return Transition::Update;
    };
    Transition::Refuse(format!(
        "{changed}; it cannot be changed, but it can be destroyed and made anew: take it out of the \
         declaration, apply with --allow-destroy, put it back and apply again"
    ))
}

/// The template that the container in a directory was made from, as its configuration says.
pub(super) fn template_of(directory: &Path) -> Option<TemplateName> {
    let text = fs::read_to_string(directory.join(CONFIG)).ok()?;
    config::state_in(&text).map(|state| state.template)
}

/// Where a container is or should be.
#[derive(Debug)]
pub(super) struct Container<'a> {
    place: Place,
    name: &'a ContainerName,
    site: &'a Site,
}

impl<'a> Container<'a> {
    pub(super) fn new(site: &'a Site, name: &'a ContainerName) -> Self {
        Self {
            place: Place::new(Kind::Container, &site.layout.containers(), name.as_str()),
            name,
            site,
        }
    }

    /// `running` says whether it does; asked for all containers at once.
    pub(super) fn observe(&self, running: bool) -> Result<Option<Observed>, PluginError> {
        if !self.place.exists() {
            return Ok(None);
        }
        let Some(seal) = self.place.seal()? else {
            return Ok(Some(Observed {
                state: state::foreign(describe(self.place.path())),
                owner: Owner::Foreign,
            }));
        };
        let (state, configuration) = self.configuration(&seal)?;
        let state = state.map(|state| ContainerState {
            autostart: self
                .site
                .runtime
                .starts_with_host(self.name)
                .unwrap_or(state.autostart),
            ..state
        });
        Ok(Some(Observed {
            state: state::observed(state.as_ref(), running, configuration),
            owner: Owner::Ours,
        }))
    }

    /// The UUID of the template's build that it was made from.
    pub(super) fn origin(&self) -> Option<String> {
        let info = btrfs::info(self.place.path()).ok()?;
        info.parent_uuid.map(|uuid| uuid.to_string())
    }

    fn configuration(
        &self,
        seal: &Seal,
    ) -> Result<(Option<ContainerState>, Configuration), PluginError> {
        let text = match fs::read_to_string(self.place.path().join(CONFIG)) {
            Ok(text) => text,
            // Gone, or not even text.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
                return Ok((None, Configuration::Edited));
            }
            Err(error) => return Err(self.place.failed("read the configuration of", error)),
        };
        let (state, configuration) = config::read(&text, &self.rendering(seal.first_id));
        let fits = state
            .as_ref()
            .is_some_and(|state| state.unprivileged == seal.first_id.is_some());
        Ok((
            state,
            if fits {
                configuration
            } else {
                Configuration::Edited
            },
        ))
    }

    fn rendering(&self, first_id: Option<u32>) -> Rendering<'_> {
        Rendering {
            name: self.name,
            layout: &self.site.layout,
            facts: self.site.facts,
            agent: self.site.agent.as_deref(),
            switch: self.site.switch.as_deref(),
            first_id,
        }
    }

    pub(super) fn apply(&self, change: &Change, context: &Context<'_>) -> Result<(), PluginError> {
        match (change.verb, context.direction) {
            (Verb::Create, Direction::Forward) => self.create(&change.after, context),
            (Verb::Create, Direction::Undo) => self.restore(&change.after, context),
            (Verb::Update, Direction::Forward) => self.update(change, context),
            (Verb::Update, Direction::Undo) => self.revert(change, context),
            (Verb::Delete, Direction::Forward) => self.discard(context),
            (Verb::Delete, Direction::Undo) => self.withdraw(),
        }
    }

    fn create(&self, after: &Value, context: &Context<'_>) -> Result<(), PluginError> {
        let after = self.declared(after)?;
        if self.place.exists() {
            let seal = self.place.must_be_ours("create")?;
            let (found, _) = self.configuration(&seal)?;
            return self.settle(&seal, found.as_ref(), &after, context);
        }
        self.place.sweep(context.run)?;
        let mut first_id = None;
        self.place.make(|unfinished| {
            self.snapshot(&after.template, unfinished)?;
            first_id = self.claim(unfinished, after.unprivileged)?;
            self.write_config(unfinished, &after, first_id)
        })?;
        self.site
            .runtime
            .start_with_host(self.name, after.autostart)?;
        if after.running {
            (context.progress)("starting");
            self.site.sockets_for(self.name, &after, first_id)?;
            self.site.runtime.launch(self.name)?;
        }
        Ok(())
    }

    fn snapshot(&self, template: &TemplateName, unfinished: &Path) -> Result<(), PluginError> {
        let source = self.site.layout.template(template);
        let sealed = Seal::read(&source)?;
        if !sealed.is_some_and(|seal| seal.kind == Kind::Template) {
            return Err(PluginError::unavailable(
                format!("template {template} is not there"),
                "plan again to see what has changed",
            ));
        }
        btrfs::snapshot(&source, unfinished, false)
            .map_err(|error| self.place.failed("create", error))
    }

    /// Makes the directory ours, with a range of ids for an unprivileged container. Only root of the
    /// machine, and root of the container on its way in, get through it: programs that run as their
    /// owner lie below.
    fn claim(&self, directory: &Path, unprivileged: bool) -> Result<Option<u32>, PluginError> {
        let failed = |error: std::io::Error| self.place.failed("create", error);
        let right = ids::lock();
        let first_id = match unprivileged {
            true => Some(ids::allocate(&self.site.layout.containers(), &right)?),
            false => None,
        };
        self.place.sign(directory, first_id)?;
        drop(right);
        chown(directory, Some(0), Some(first_id.unwrap_or(0))).map_err(failed)?;
        fs::set_permissions(directory, Permissions::from_mode(0o710)).map_err(failed)?;
        Ok(first_id)
    }

    fn write_config(
        &self,
        directory: &Path,
        state: &ContainerState,
        first_id: Option<u32>,
    ) -> Result<(), PluginError> {
        if state.network != declaration::Network::None && self.site.agent.is_none() {
            return Err(PluginError::unavailable(
                "LXC cannot call this program by its path",
                "install it under a path of letters, digits and ._+-/ alone",
            ));
        }
        let text = config::render(state, &self.rendering(first_id));
        let path = directory.join(CONFIG);
        let unfinished = directory.join(".config.new");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| self.place.failed("configure", error))
    }

    fn update(&self, change: &Change, context: &Context<'_>) -> Result<(), PluginError> {
        let after = self.declared(&change.after)?;
        let seal = match change.adopts {
            true => self.adopt(after.unprivileged)?,
            false => self.place.must_be_ours("update")?,
        };
        // What somebody has written may be what it runs with.
        let before = match state::is_edited(&change.before) {
            true => None,
            false => ContainerState::parse(&change.before),
        };
        match restart::replaced(change) {
            Some(init) => self.restart(&seal, before.as_ref(), &after, (init, context)),
            None => self.settle(&seal, before.as_ref(), &after, context),
        }
    }

    /// Stops a container, unless its init is another one by now, and starts it. Should a crash leave it stopped, the
    /// way back starts it.
    fn restart(
        &self,
        seal: &Seal,
        before: Option<&ContainerState>,
        after: &ContainerState,
        (init, context): (u32, &Context<'_>),
    ) -> Result<(), PluginError> {
        let runtime = &self.site.runtime;
        if runtime.init(self.name)? == Some(init) {
            (context.progress)("stopping");
            runtime.stop(self.name, Stop::Gently)?;
        }
        self.settle(seal, before, after, context).map_err(|error| {
            let left = format!("{error}. It was stopped for that, and stays stopped");
            self.place.failed("restart", left)
        })
    }

    /// Brings a container that is there into a state, from one in which it may run; `None` is one that
    /// nobody knows. Nothing is written before it is so, lest a crash leave a container that runs with
    /// something else than what is written.
    fn settle(
        &self,
        seal: &Seal,
        before: Option<&ContainerState>,
        after: &ContainerState,
        context: &Context<'_>,
    ) -> Result<(), PluginError> {
        let runtime = &self.site.runtime;
        let before = before.filter(|before| after.running && before.runs_like(after));
        match before {
            Some(before) if before.is_limited_like(after) || !runtime.is_active(self.name)? => {}
            Some(_) => {
                let limits = config::limits(after, self.site.facts.cgroups);
                runtime.limit(self.name, &limits)?;
            }
            None => {
                (context.progress)("stopping");
                runtime.stop(self.name, Stop::Gently)?;
            }
        }
        self.write_config(self.place.path(), after, seal.first_id)?;
        runtime.start_with_host(self.name, after.autostart)?;
        if after.running && !runtime.is_active(self.name)? {
            (context.progress)("starting");
            self.site.sockets_for(self.name, after, seal.first_id)?;
            runtime.launch(self.name)?;
        }
        Ok(())
    }

    fn adopt(&self, unprivileged: bool) -> Result<Seal, PluginError> {
        if let Some(seal) = self.place.seal()? {
            return Ok(seal);
        }
        match describe(self.place.path()) {
            state::ROOT_FILE_SYSTEM => {}
            found => return Err(self.place.failed("take over", format!("it is a {found}"))),
        }
        self.site.runtime.stop(self.name, Stop::Gently)?;
        let kept = self.config_before();
        match fs::rename(self.place.path().join(CONFIG), &kept) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(self.place.failed("take over", error));
            }
            _ => {}
        }
        self.claim(self.place.path(), unprivileged)?;
        self.place.must_be_ours("take over")
    }

    fn config_before(&self) -> PathBuf {
        self.place.path().join(CONFIG_BEFORE)
    }

    /// Takes back an update, whether or not it was made: `change` is its inverse.
    fn revert(&self, change: &Change, context: &Context<'_>) -> Result<(), PluginError> {
        let Some(seal) = self.place.seal()? else {
            return Ok(());
        };
        if change.adopts {
            return self.give_back();
        }
        match ContainerState::parse(&change.after) {
            Some(after) => {
                let before = ContainerState::parse(&change.before);
                let settled = self.settle(&seal, before.as_ref(), &after, context);
                match settled {
                    // It does not run any more, by its own fault: nothing else has to wait for that to be mended.
                    Err(error) if restart::replaced(&change.inverse()).is_some() => {
                        (context.progress)(&error.to_string());
                        Ok(())
                    }
                    settled => settled,
                }
            }
            // Its configuration was beyond reading. The mended one stays.
            None if change.after["running"] == false => {
                self.site.runtime.stop(self.name, Stop::Gently)
            }
            None => self.site.runtime.start(self.name),
        }
    }

    fn give_back(&self) -> Result<(), PluginError> {
        let failed = |error: std::io::Error| self.place.failed("give back", error);
        self.site.runtime.stop(self.name, Stop::Gently)?;
        match fs::rename(self.config_before(), self.place.path().join(CONFIG)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        crate::mark::remove(self.place.path()).map_err(failed)
    }

    fn discard(&self, context: &Context<'_>) -> Result<(), PluginError> {
        if !self.place.exists() {
            return Ok(());
        }
        let seal = self.place.must_be_ours("delete")?;
        self.place.sweep(context.run)?;
        (context.progress)("stopping");
        self.leave(&seal, Stop::Gently)?;
        self.place.keep(context.run)
    }

    /// Stops it and takes away what it has outside of its directory.
    fn leave(&self, seal: &Seal, how: Stop) -> Result<(), PluginError> {
        self.site.runtime.stop(self.name, how)?;
        self.site.runtime.start_with_host(self.name, false)?;
        self.site.sockets.remove(self.name, seal.first_id)
    }

    /// Takes back a delete, whether or not it was made.
    fn restore(&self, state: &Value, context: &Context<'_>) -> Result<(), PluginError> {
        if self.place.has_kept(context.run) {
            self.place.restore(context.run)?;
        }
        let seal = self.place.must_be_ours("restore")?;
        match ContainerState::parse(state) {
            Some(state) => self.settle(&seal, Some(&state), &state, context),
            None => Ok(()),
        }
    }

    /// Takes back a create, whether or not it was made.
    fn withdraw(&self) -> Result<(), PluginError> {
        self.place.drop_unfinished()?;
        match self.place.seal()? {
            Some(seal) => {
                self.leave(&seal, Stop::AtOnce)?;
                self.place.delete()
            }
            None => Ok(()),
        }
    }

    pub(super) fn commit(&self, run: &str) -> Result<(), PluginError> {
        self.place.drop_kept(run)
    }

    fn declared(&self, state: &Value) -> Result<ContainerState, PluginError> {
        ContainerState::parse(state)
            .ok_or_else(|| self.place.failed("configure", "its state cannot be read"))
    }
}
