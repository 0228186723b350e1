//! The section `systemd`: units of the host that are kept as they should be.

use std::collections::BTreeMap;

use crate::define::record;
use crate::names::UnitName;

record! {
    /// Units that are kept as they should be. Others are left alone, and so is one that is taken out of here.
    pub struct Systemd: Default {
        /// Units by name.
        units: BTreeMap<UnitName, Unit> = BTreeMap::new(),
    }
}

record! {
    /// What is kept of one unit. What is left out is left as it is.
    pub struct Unit: Default {
        /// Whether it is to be running (a service), listening (a socket), waiting (a timer) and so on.
        active: Option<bool> = None,
        /// Whether it is to be started with the machine, or with whatever its `[Install]` section names.
        enabled: Option<bool> = None,
        /// Whether it must not be started by anything at all. Such a unit is neither active nor enabled.
        masked: Option<bool> = None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Declaration, UnitName};

    fn said(units: &str) -> String {
        let text = format!("version: 1\nplugins: {{systemd: {{units: {{{units}}}}}}}");
        match Declaration::from_yaml(&text) {
            Ok(_) => "good".to_owned(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn names_are_those_of_systemd() {
        let longest = format!("{}.service", "a".repeat(247));
        for name in [
            "nginx.service",
            "getty@tty1.service",
            "-.mount",
            r"dev-disk-by\x2duuid-1.swap",
            "a:b_c.socket",
            &longest,
        ] {
            assert!(name.parse::<UnitName>().is_ok(), "{name}");
        }
        for name in [
            "",
            "nginx",
            ".service",
            "@a.service",
            "a b.service",
            "a/b.service",
            "../a.service",
            "a.conf",
            "a.service\n",
            "ä.service",
            &format!("a{longest}"),
        ] {
            assert!(name.parse::<UnitName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_forgotten_suffix_is_guessed() {
        let text = said("nginx: {active: true}");
        assert!(text.contains("did you mean `nginx.service`?"), "{text}");
    }

    #[test]
    fn what_masking_excludes_is_found() {
        assert_eq!(
            said("a.service: {masked: true, active: false, enabled: false}"),
            "good"
        );
        assert_eq!(
            said("a.service: {masked: false, active: true, enabled: true}"),
            "good"
        );
        let text = said("a.service: {masked: true, active: true, enabled: true}");
        assert!(
            text.contains("\"a.service\".active") && text.contains("\"a.service\".enabled"),
            "{text}"
        );
    }

    #[test]
    fn a_unit_of_which_nothing_is_declared_is_a_mistake() {
        let text = said("a.service: {}");
        assert!(
            text.contains("at least one of `active`, `enabled` and `masked`"),
            "{text}"
        );
        // What could not be read was reported already.
        let text = said("a.service: {activ: true}");
        assert!(!text.contains("at least one"), "{text}");
    }
}
