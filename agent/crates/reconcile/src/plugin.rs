//! What a plugin is to the engine.

use std::collections::BTreeMap;
use std::error::Error as StdError;

use serde_json::Value;

use crate::change::Change;
use crate::key::Key;

/// A resource as it should be, normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The state, in the same normal form as [`Observed::state`].
    pub state: Value,
    /// Take the resource over if it exists and is not ours.
    pub adopt: bool,
}

impl Desired {
    /// A resource that is ours to make.
    pub fn ours(state: Value) -> Self {
        Self {
            state,
            adopt: false,
        }
    }
}

/// Whose a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It carries our mark.
    Ours,
    /// It was there without our mark: never changed, never deleted, unless adopted.
    Foreign,
}

/// A resource as it is, normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The state, in the same normal form as [`Desired::state`].
    pub state: Value,
    /// Whether it carries our mark.
    pub owner: Owner,
}

/// How a plugin gets from one state of a resource to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// They count as equal; an optional note is shown with the plan.
    Keep {
        /// What people should know about the difference that is kept.
        note: Option<String>,
    },
    /// The resource can be changed in place.
    Update,
    /// It cannot be done; the text says why and what to do instead.
    Refuse(String),
}

/// What a change means beyond its resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Data is lost for good (see [`Change::destroys`]).
    pub destroys: bool,
    /// Not undone with a failed run (see [`Change::keeps`]).
    pub keeps: bool,
    /// Links and bridges whose traffic is interrupted.
    pub disrupts: Vec<String>,
}

/// Which way the engine is going when it calls [`Plugin::apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the declaration.
    Forward,
    /// Back to what was, after a failure, a crash or an unconfirmed window.
    Undo,
}

/// What a plugin may know of, and say to, the run that it works for.
pub struct Context<'a> {
    /// The run's id: names what must be kept until [`Plugin::commit`].
    pub run: &'a str,
    /// Forward or undo. A delete under undo need not keep anything.
    pub direction: Direction,
    /// Tells people what is being done, for changes that take long.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// Why a plugin could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Something that the plugin needs is not there.
    #[error("{what}; {fix}")]
    Unavailable {
        /// What is missing.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// The system refused or failed.
    #[error("{doing}: {source}")]
    Failed {
        /// What was being done, e.g. `create subvolume @cache`.
        doing: String,
        /// Why it failed, in the system's words.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl PluginError {
    /// A failure with its reason.
    pub fn failed(
        doing: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// Something missing, with its remedy.
    pub fn unavailable(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unavailable {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// One kind of resource: how to see it, and how to change it.
///
/// A plugin is made from its section of one declaration. `desired`, `requires`, `transition` and
/// `effects` are pure: no I/O, the same answer each time. `observe` reads the real system and
/// writes nothing. `apply` is idempotent: doing a change that is already done succeeds, doing one
/// that a crash left half done completes it; the same holds for the inverse of each change.
pub trait Plugin: Send + Sync {
    /// The plugin's name, and its section in the declaration.
    fn name(&self) -> &str;

    /// What the declaration asks for, by resource.
    fn desired(&self) -> BTreeMap<String, Desired>;

    /// What the system has, by resource: everything that is ours, and every foreign resource that
    /// stands where a desired one should.
    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError>;

    /// The resources, of any plugin, that must be there before `resource` can be in `state`.
    fn requires(&self, resource: &str, state: &Value) -> Vec<Key>;

    /// How to get from `before` to `after`; called only when they differ.
    fn transition(&self, resource: &str, before: &Value, after: &Value) -> Transition {
        let _ = (resource, before, after);
        Transition::Update
    }

    /// What else the change does.
    fn effects(&self, change: &Change) -> Effects {
        let _ = change;
        Effects::default()
    }

    /// Remarks on what was last observed, by resource: what people should know beside the plan.
    fn notes(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether [`Plugin::apply`] takes many changes as one atomic transaction. If so it gets as many
    /// as can go together, in order, and does all or none; if not it gets them one at a time,
    /// possibly from several threads at once.
    fn atomic(&self) -> bool {
        false
    }

    /// Carries changes out. See the trait for what idempotent means here.
    fn apply(&self, changes: &[&Change], context: &Context<'_>) -> Result<(), PluginError>;

    /// Drops what was kept to undo the change. Called once the run has ended well, and again after
    /// a crash; doing it twice succeeds.
    fn commit(&self, change: &Change, run: &str) -> Result<(), PluginError> {
        let _ = (change, run);
        Ok(())
    }

    /// Whether the system takes a while to show a change; verification then retries with a bound.
    fn asynchronous(&self) -> bool {
        false
    }
}
