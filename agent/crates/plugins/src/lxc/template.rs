//! One template: what it is, and each way of changing it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use declaration::TemplateName;
use reconcile::{Change, Context, Direction, Observed, Owner, PluginError, Transition, Verb};
use serde_json::Value;

use super::container::template_of;
use super::layout::Layout;
use super::place::{Place, describe, subdirectories};
use super::recipe;
use super::seal::{Kind, Seal};
use super::state::{self, TemplateState};

/// The description of what a template was made from, in its directory.
const DESCRIPTION: &str = "template.json";

/// Whether what is there can become as declared.
pub(super) fn transition(before: &Value, after: &Value) -> Transition {
    if let Some(found) = state::found(before) {
        return match found {
            state::ROOT_FILE_SYSTEM => Transition::Update,
            found => Transition::Refuse(format!(
                "what is there is a {found}, and only a subvolume with a `{}` owned by root can be \
                 taken over: move it away, and apply to make a new one",
                recipe::ROOTFS
            )),
        };
    }
    match (TemplateState::parse(before), TemplateState::parse(after)) {
        (Some(before), Some(after)) if before.makes_the_same_as(&after) => {
            Transition::Keep { note: None }
        }
        _ => Transition::Update,
    }
}

/// Where a template is or should be.
#[derive(Debug)]
pub(super) struct Template<'a> {
    place: Place,
    layout: &'a Layout,
}

impl<'a> Template<'a> {
    pub(super) fn new(layout: &'a Layout, name: &TemplateName) -> Self {
        Self {
            place: Place::new(Kind::Template, &layout.templates(), name.as_str()),
            layout,
        }
    }

    pub(super) fn observe(&self) -> Result<Option<Observed>, PluginError> {
        if !self.place.exists() {
            return Ok(None);
        }
        Ok(Some(match self.place.seal()? {
            Some(_) => Observed {
                state: self.state(),
                owner: Owner::Ours,
            },
            None => Observed {
                state: state::foreign(describe(self.place.path())),
                owner: Owner::Foreign,
            },
        }))
    }

    fn state(&self) -> Value {
        let text = fs::read(self.place.path().join(DESCRIPTION)).ok();
        let there = self.place.path().join(recipe::ROOTFS).is_dir();
        text.filter(|_| there)
            .and_then(|text| serde_json::from_slice(&text).ok())
            .and_then(|state| TemplateState::parse(&state))
            .map_or_else(state::damaged_template, |state| state.to_value())
    }

    pub(super) fn apply(&self, change: &Change, context: &Context<'_>) -> Result<(), PluginError> {
        match (change.verb, context.direction) {
            (Verb::Create, Direction::Forward) => self.create(&change.after, context),
            (Verb::Create, Direction::Undo) => self.restore(context),
            (Verb::Update, _) if change.adopts => self.adopt(&change.after, context.direction),
            (Verb::Update, Direction::Forward) => self.rebuild(&change.after, context),
            (Verb::Update, Direction::Undo) => self.revert(context),
            (Verb::Delete, Direction::Forward) => self.discard(context),
            (Verb::Delete, Direction::Undo) => self.withdraw(),
        }
    }

    fn create(&self, state: &Value, context: &Context<'_>) -> Result<(), PluginError> {
        if self.place.exists() {
            self.place.must_be_ours("create")?;
            return match self.state() == *state {
                true => Ok(()),
                false => self.rebuild(state, context),
            };
        }
        self.place.sweep(context.run)?;
        self.build(state, context)
    }

    fn build(&self, state: &Value, context: &Context<'_>) -> Result<(), PluginError> {
        let recipe = TemplateState::parse(state)
            .ok_or_else(|| self.place.failed("build", "its recipe cannot be read"))?;
        self.place.make(|unfinished| {
            let failed = |error: std::io::Error| self.place.failed("build", error);
            btrfs::create(unfinished).map_err(|error| self.place.failed("build", error))?;
            fs::set_permissions(unfinished, Permissions::from_mode(0o700)).map_err(failed)?;
            recipe::build(&recipe, unfinished, context.progress)?;
            describe_recipe(unfinished, &recipe).map_err(failed)?;
            self.place.sign(unfinished, None)
        })
    }

    /// Makes it again. Containers made from the earlier build are not touched: a snapshot is whole.
    fn rebuild(&self, state: &Value, context: &Context<'_>) -> Result<(), PluginError> {
        if self.place.exists() {
            self.place.must_be_ours("rebuild")?;
            if self.state() == *state {
                return Ok(());
            }
            self.place.sweep(context.run)?;
            self.place.keep(context.run)?;
        }
        let built = self.build(state, context);
        if built.is_err() && self.place.has_kept(context.run) && !self.place.exists() {
            self.place.restore(context.run)?;
        }
        built
    }

    /// Takes back a rebuild, whether or not it was made.
    fn revert(&self, context: &Context<'_>) -> Result<(), PluginError> {
        self.place.drop_unfinished()?;
        if self.place.has_kept(context.run) {
            self.place.delete()?;
            self.place.restore(context.run)?;
        }
        Ok(())
    }

    fn adopt(&self, state: &Value, direction: Direction) -> Result<(), PluginError> {
        let failed = |error: std::io::Error| self.place.failed("take over", error);
        match (direction, TemplateState::parse(state)) {
            (Direction::Forward, Some(recipe)) => {
                describe_recipe(self.place.path(), &recipe).map_err(failed)?;
                self.place.sign(self.place.path(), None)
            }
            _ if self.place.seal()?.is_some() => {
                fs::remove_file(self.place.path().join(DESCRIPTION)).map_err(failed)?;
                crate::mark::remove(self.place.path()).map_err(failed)
            }
            _ => Ok(()),
        }
    }

    fn discard(&self, context: &Context<'_>) -> Result<(), PluginError> {
        if !self.place.exists() {
            return Ok(());
        }
        self.place.must_be_ours("delete")?;
        if let Some(user) = self.user()? {
            return Err(PluginError::unavailable(
                format!(
                    "template {} is in use by container {user}",
                    self.place.name()
                ),
                "delete the container first",
            ));
        }
        self.place.sweep(context.run)?;
        self.place.keep(context.run)
    }

    /// A container that was made from a template of this name.
    fn user(&self) -> Result<Option<String>, PluginError> {
        for path in subdirectories(&self.layout.containers())? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let Some(seal) = Seal::read(&path)? else {
                continue;
            };
            let template = template_of(&path);
            if seal.name == name
                && template.is_some_and(|template| template.as_str() == self.place.name())
            {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// Takes back a delete, whether or not it was made.
    fn restore(&self, context: &Context<'_>) -> Result<(), PluginError> {
        match self.place.has_kept(context.run) {
            true => self.place.restore(context.run),
            false => self.place.must_be_ours("restore").map(drop),
        }
    }

    /// Takes back a create, whether or not it was made.
    fn withdraw(&self) -> Result<(), PluginError> {
        self.place.drop_unfinished()?;
        self.place.delete()
    }

    pub(super) fn commit(&self, run: &str) -> Result<(), PluginError> {
        self.place.drop_kept(run)
    }
}

fn describe_recipe(directory: &Path, recipe: &TemplateState) -> std::io::Result<()> {
    let path = directory.join(DESCRIPTION);
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, serde_json::to_vec_pretty(&recipe.to_value())?)?;
    fs::rename(unfinished, path)
}
