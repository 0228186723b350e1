//! Words of system administration that mean much the same.

/// Groups of words, as people say them. A word stands in one group only.
const GROUPS: [&str; 56] = [
    "start launch run begin spawn",
    "stop halt terminate quit finish",
    "restart bounce relaunch",
    "reboot",
    "shutdown poweroff off",
    "suspend sleep hibernate standby",
    "freeze pause hold",
    "thaw resume unfreeze continue unpause",
    "kill signal",
    "enable activate on",
    "disable deactivate",
    "create make new add define",
    "delete remove destroy drop erase undefine forget uninstall",
    "list show enumerate display see view",
    "get read fetch retrieve query look describe",
    "set change modify edit alter adjust configure update write",
    "rename call",
    "search find lookup locate",
    "install deploy setup",
    "upgrade newer",
    "refresh renew rescan",
    "reload reread",
    "connect join attach plug",
    "disconnect leave detach unlink unplug",
    "lock",
    "unlock",
    "copy clone duplicate",
    "move migrate transfer",
    "mount",
    "resize grow shrink enlarge extend",
    "verify check validate test",
    "allow authorize permit approve",
    "block deny forbid prevent inhibit mask",
    "cancel abort interrupt undo revert rollback",
    "save store keep persist",
    "import pull download",
    "export push upload",
    "unit service daemon",
    "machine container guest domain vm virtual",
    "computer host system box server node",
    "package software program application app",
    "network net",
    "interface nic adapter card",
    "wifi wireless wlan",
    "address ip addr",
    "dns nameserver resolver",
    "name hostname",
    "time clock date hour",
    "timezone zone tz",
    "user account login person",
    "session seat",
    "password passphrase pin secret credential",
    "disk volume storage drive",
    "image template",
    "battery power charge energy",
    "memory ram",
];

/// The group of a stem.
pub(crate) fn group(stem: &str) -> Option<usize> {
    use std::collections::HashMap;
    use std::sync::LazyLock;

    static GROUP: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
        let words = GROUPS.iter().enumerate();
        let stems = words.flat_map(|(group, words)| {
            crate::tokens::stems(words)
                .into_iter()
                .map(move |stem| (stem, group))
        });
        stems.collect()
    });
    GROUP.get(stem).copied()
}

/// The word that stands for all of a group. No text has it, since stems have no letter of such a kind.
pub(crate) fn word(group: usize) -> String {
    format!("\u{e6}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_in_one_group_only() {
        let mut seen = std::collections::HashMap::new();
        for words in GROUPS {
            for stem in crate::tokens::stems(words) {
                let other = seen.insert(stem.clone(), words);
                assert_eq!(other, None, "{stem}");
            }
        }
        assert_eq!(group("launch"), group("start"));
        assert_ne!(group("start"), group("stop"));
        assert_eq!(group("zebra"), None);
    }
}
