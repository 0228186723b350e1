//! A container that is to be started again although it runs. Such a container's state tells of its init, which is
//! what becomes another one; no other state does.

use declaration::ContainerName;
use reconcile::{Change, PluginError};
use serde_json::Value;

use super::container_resource;
use super::runtime::{Runtime, STOP_SECONDS};

/// Key of the init's process id, or of [`NEW`].
const INIT: &str = "init";
/// Another init than the one that was found.
const NEW: &str = "new";

/// A container whose init is to be another one.
#[derive(Debug)]
pub(super) struct Restart {
    pub(super) resource: String,
    name: ContainerName,
    /// The process id of the init that there is.
    init: u32,
}

impl Restart {
    /// `None` if the container does not run: to start it is enough.
    pub(super) fn of(name: &ContainerName, runtime: &Runtime) -> Result<Option<Self>, PluginError> {
        Ok(runtime.init(name)?.map(|init| Self {
            resource: container_resource(name.as_str()),
            name: name.clone(),
            init,
        }))
    }

    /// Adds to the desired state what is asked for.
    pub(super) fn ask(&self, state: &mut Value) {
        state[INIT] = NEW.into();
    }

    /// Adds to the observed state which init runs, if one does; what people should know if it is still the same.
    pub(super) fn tell(
        &self,
        state: &mut Value,
        runtime: &Runtime,
    ) -> Result<Option<String>, PluginError> {
        let init = runtime.init(&self.name)?;
        match init {
            Some(init) if init == self.init => state[INIT] = init.into(),
            Some(_) => state[INIT] = NEW.into(),
            None => {}
        }
        Ok((init == Some(self.init)).then(|| {
            format!(
                "stops and starts again, and is down in between: it has {STOP_SECONDS} s to stop by itself, then it \
                 is killed. Its data and its address stay"
            )
        }))
    }
}

/// The init that a change wants to be gone.
pub(super) fn replaced(change: &Change) -> Option<u32> {
    let wanted = change.after.get(INIT).is_some_and(|init| init == NEW);
    let init = change.before.get(INIT).filter(|_| wanted)?;
    u32::try_from(init.as_u64()?).ok()
}

/// Whether two states differ in the init alone, and there is no way from one to the other: an earlier init does not
/// come back, and one that is not told of is as good as any.
pub(super) fn is_all_that_differs(before: &Value, after: &Value) -> bool {
    let is_wanted = before.get(INIT).is_some() && after.get(INIT).is_some_and(|init| init == NEW);
    let without = |state: &Value| {
        let mut state = state.clone();
        if let Some(state) = state.as_object_mut() {
            state.remove(INIT);
        }
        state
    };
    !is_wanted && without(before) == without(after)
}

#[cfg(test)]
mod tests {
    use reconcile::Verb;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_change_from_one_init_to_another_stops_it() {
        let change = |before: Value, after: Value| {
            Change::new("lxc", "container:a", Verb::Update, before, after)
        };
        let restart = change(json!({ "init": 7 }), json!({ "init": "new" }));
        assert_eq!(replaced(&restart), Some(7));
        assert_eq!(replaced(&restart.inverse()), None);
        for before in [
            json!(null),
            json!({}),
            json!({ "init": "new" }),
            json!({ "init": -1 }),
        ] {
            assert_eq!(replaced(&change(before, json!({ "init": "new" }))), None);
        }
    }

    #[test]
    fn an_earlier_init_does_not_come_back() {
        let (one, new, none) = (
            json!({ "running": true, "init": 7 }),
            json!({ "running": true, "init": "new" }),
            json!({ "running": true }),
        );
        assert!(!is_all_that_differs(&one, &new));
        for (before, after) in [(&none, &one), (&none, &new), (&new, &one), (&one, &none)] {
            assert!(is_all_that_differs(before, after), "{before} {after}");
        }
        assert!(!is_all_that_differs(&json!({ "running": false }), &new));
    }
}
