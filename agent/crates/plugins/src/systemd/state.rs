//! The state of a unit: of each facet whether it is so.

use declaration::Unit;
use reconcile::Transition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bus::{Listed, protected};

/// One facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Facet {
    /// It is so, or not.
    Is(bool),
    /// Neither, in systemd's word.
    Otherwise(String),
}

/// What is declared or seen of a unit; facets that are not declared are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) active: Option<Facet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<Facet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) masked: Option<Facet>,
    /// There is no such unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) missing: bool,
}

impl State {
    /// What the declaration says.
    pub(super) fn declared(unit: &Unit) -> Self {
        Self {
            active: unit.active.map(Facet::Is),
            enabled: unit.enabled.map(Facet::Is),
            masked: unit.masked.map(Facet::Is),
            missing: false,
        }
    }

    /// What systemd shows, as far as it is declared.
    pub(super) fn seen(unit: &Unit, listed: &Listed, file: Option<&str>) -> Self {
        // A unit that is only masked need not be there.
        if listed.load == "not-found" && unit.active.or(unit.enabled).is_some() {
            return Self {
                missing: true,
                ..Self::default()
            };
        }
        Self {
            active: unit.active.map(|_| Facet::Is(is_active(&listed.active))),
            enabled: unit.enabled.map(|_| match file {
                Some("enabled") => Facet::Is(true),
                Some("disabled") => Facet::Is(false),
                other => Facet::Otherwise(other.unwrap_or("without a file").to_owned()),
            }),
            masked: unit.masked.map(|_| match file {
                Some("masked-runtime") => Facet::Otherwise("masked-runtime".to_owned()),
                Some("masked") => Facet::Is(true),
                _ => Facet::Is(listed.load == "masked"),
            }),
            missing: false,
        }
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    pub(super) fn json(&self) -> Value {
        // Names and texts always have a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether the unit has to be there for it.
    pub(super) fn needs_unit(&self) -> bool {
        [&self.active, &self.enabled]
            .into_iter()
            .any(|facet| *facet == Some(Facet::Is(true)))
    }

    /// What takes back the making of this state where there was no unit.
    pub(super) fn nothing(&self) -> Self {
        let off = |facet: &Option<Facet>| facet.as_ref().map(|_| Facet::Is(false));
        Self {
            active: off(&self.active),
            enabled: off(&self.enabled),
            masked: off(&self.masked),
            missing: false,
        }
    }
}

/// Whether an active state counts as running.
pub(super) fn is_active(state: &str) -> bool {
    matches!(state, "active" | "reloading" | "refreshing")
}

/// How to get from what is seen to what is declared.
pub(super) fn transition(unit: &str, before: &State, after: &State) -> Transition {
    if before.missing {
        return match after.needs_unit() {
            true => Transition::Refuse(format!(
                "there is no unit {unit} on this machine: install the package that brings it (declare it in \
                 `packagekit`), or correct the name; `systemctl list-unit-files` shows those there are"
            )),
            false => Transition::Keep {
                note: Some(format!("there is no unit {unit} on this machine")),
            },
        };
    }
    let stops = after.active == Some(Facet::Is(false)) && before.active != after.active;
    let masks = after.masked == Some(Facet::Is(true)) && before.masked != after.masked;
    if protected(unit) && (stops || masks) {
        return Transition::Refuse(
            "without it nothing could be asked of this host any more: take it out of the declaration".to_owned(),
        );
    }
    let unmasks = after.masked == Some(Facet::Is(false));
    let is_masked = before
        .masked
        .as_ref()
        .is_some_and(|facet| *facet != Facet::Is(false));
    if is_masked && !unmasks && after.needs_unit() {
        return Transition::Refuse("it is masked: write `masked: false` as well".to_owned());
    }
    let mut changes = before.active != after.active || before.masked != after.masked;
    match (&before.enabled, &after.enabled) {
        (Some(Facet::Otherwise(word)), Some(Facet::Is(wanted))) => {
            match enablement(word, *wanted, unmasks) {
                Ok(change) => changes |= change,
                Err(reason) => return Transition::Refuse(reason),
            }
        }
        (before, after) => changes |= before != after,
    }
    match changes {
        true => Transition::Update,
        false => Transition::Keep { note: None },
    }
}

/// Whether a unit whose file is neither enabled nor disabled has to be changed, or why it cannot be.
fn enablement(word: &str, wanted: bool, unmasks: bool) -> Result<bool, String> {
    let reason = match (word, wanted) {
        ("enabled-runtime", _) => return Ok(true),
        ("masked" | "masked-runtime", true) if unmasks => return Ok(true),
        // None of the others is started with the machine by a link that could be taken away.
        (_, false) => return Ok(false),
        ("masked" | "masked-runtime", true) => "it is masked: write `masked: false` as well",
        ("static", true) => {
            "it has no [Install] section and is started by what needs it: leave `enabled` out, or declare the \
             socket, timer or path unit that starts it"
        }
        ("indirect", true) => {
            "enabling it enables others in its place (`Also=` in its [Install] section): declare those"
        }
        ("alias", true) => "it is another name of a unit: declare that one",
        ("generated", true) => {
            "a generator makes it at each start (from /etc/fstab, say): change what it is made from"
        }
        ("transient", true) => "it was made by a program while the machine runs and goes with it",
        ("linked" | "linked-runtime", true) => {
            "its file lies elsewhere and is only linked: move it to /etc/systemd/system first"
        }
        ("bad", true) => "systemd cannot read its file: `systemctl status` on it tells why",
        _ => "there is no file of it that could be enabled",
    };
    Err(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: Option<bool>, enabled: Option<bool>, masked: Option<bool>) -> Unit {
        Unit {
            active,
            enabled,
            masked,
        }
    }

    fn listed(load: &str, active: &str) -> Listed {
        Listed {
            name: "a.service".to_owned(),
            description: String::new(),
            load: load.to_owned(),
            active: active.to_owned(),
            sub: String::new(),
        }
    }

    fn way(declared: &Unit, load: &str, active: &str, file: Option<&str>) -> String {
        let before = State::seen(declared, &listed(load, active), file);
        let after = State::declared(declared);
        if before == after {
            return "equal".to_owned();
        }
        match transition("a.service", &before, &after) {
            Transition::Update => "update".to_owned(),
            Transition::Keep { note } => format!("keep {}", note.unwrap_or_default()),
            Transition::Refuse(reason) => reason,
        }
    }

    #[test]
    fn only_declared_facets_count() {
        let active = unit(Some(true), None, None);
        assert_eq!(way(&active, "loaded", "active", Some("disabled")), "equal");
        assert_eq!(way(&active, "loaded", "reloading", Some("masked")), "equal");
        assert_eq!(way(&active, "loaded", "failed", Some("enabled")), "update");
        assert_eq!(
            way(&unit(Some(false), None, None), "loaded", "failed", None),
            "equal"
        );
        let seen = State::seen(&active, &listed("loaded", "active"), Some("enabled"));
        assert_eq!(seen.json(), serde_json::json!({ "active": true }));
        assert_eq!(State::read(&seen.json()), Some(seen));
    }

    #[test]
    fn what_cannot_be_enabled_is_refused_with_a_reason_and_need_not_be_disabled() {
        let on = unit(None, Some(true), None);
        let off = unit(None, Some(false), None);
        for word in [
            "static",
            "indirect",
            "alias",
            "generated",
            "transient",
            "linked",
            "bad",
            "new-word",
        ] {
            let reason = way(&on, "loaded", "inactive", Some(word));
            assert!(reason.len() > 20, "{word}: {reason}");
            assert_eq!(way(&off, "loaded", "inactive", Some(word)), "keep ");
        }
        assert_eq!(
            way(&on, "loaded", "inactive", Some("enabled-runtime")),
            "update"
        );
        assert_eq!(
            way(&off, "loaded", "inactive", Some("enabled-runtime")),
            "update"
        );
    }

    #[test]
    fn a_masked_unit_is_unmasked_only_if_that_is_declared() {
        let on = unit(Some(true), Some(true), None);
        assert!(way(&on, "masked", "inactive", Some("masked")).contains("masked: false"));
        let on = unit(Some(true), Some(true), Some(false));
        assert_eq!(way(&on, "masked", "inactive", Some("masked")), "update");
        assert_eq!(
            way(&on, "masked", "inactive", Some("masked-runtime")),
            "update"
        );
    }

    #[test]
    fn a_missing_unit_is_refused_unless_nothing_is_wanted_of_it() {
        let reason = way(&unit(Some(true), None, None), "not-found", "inactive", None);
        assert!(reason.contains("there is no unit a.service"), "{reason}");
        let note = way(
            &unit(Some(false), None, None),
            "not-found",
            "inactive",
            None,
        );
        assert!(note.starts_with("keep there is no unit"), "{note}");
        let mask = unit(None, None, Some(true));
        assert_eq!(way(&mask, "not-found", "inactive", None), "update");
    }
}
