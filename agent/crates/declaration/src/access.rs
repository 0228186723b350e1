//! The section `access`: who may do what through the doors, and what files and commands they reach.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::define::{record, words};
use crate::names::{AccountName, CommandName};
use crate::url_prefix::UrlPrefix;
use crate::values::{AbsolutePath, Argument};

words! {
    /// What is done about a host that is no longer in its declared state.
    pub enum Reconcile {
        /// The daemon mends it, but for what would destroy data or touch the management path.
        Enforce = "enforce",
        /// The daemon says so, and changes nothing.
        Observe = "observe",
    }
}

// The macro that defines it derives nothing but what all words have.
#[allow(clippy::derivable_impls)]
impl Default for Reconcile {
    fn default() -> Self {
        Self::Enforce
    }
}

record! {
    /// Who may do what through the doors. Root is admin.
    pub struct Access: Default {
        /// Who may look at everything and change nothing.
        viewer: Who = Who {
            users: Vec::new(),
            groups: "opdbus".parse().into_iter().collect(),
        },
        /// Who may also change things.
        operator: Who = Who::default(),
        /// Who may also destroy data, install software, write files and run commands.
        admin: Who = Who::default(),
        /// Files and directories that tools reach.
        files: Files = Files::default(),
        /// What the inspector fetches.
        inspect: Inspect = Inspect::default(),
        /// Commands that `command_run` may run, each a program's absolute path and its arguments. There is
        /// no shell, and the caller adds nothing.
        commands: BTreeMap<CommandName, Vec<String>>
            as BTreeMap<CommandName, Vec<Argument>> = BTreeMap::new(),
    }
}

record! {
    /// Accounts that have a role.
    pub struct Who: Default {
        /// Users, by login name.
        users: Vec<AccountName> = Vec::new(),
        /// Groups; every member has the role.
        groups: Vec<AccountName> = Vec::new(),
    }
}

record! {
    /// Files and directories that tools reach. Below admin, a file has to be readable for everybody besides.
    pub struct Files: Default {
        /// Where files are read, listed and searched.
        read: Vec<PathBuf> as Vec<AbsolutePath> = vec![PathBuf::from("/etc"), PathBuf::from("/var/log")],
        /// Where files are written.
        write: Vec<PathBuf> as Vec<AbsolutePath> = Vec::new(),
    }
}

record! {
    /// What the inspector fetches.
    pub struct Inspect: Default {
        /// URLs that may be fetched, http or https. One whose path ends with `/` stands for all below it. A host
        /// name that leads to an address of this host or of a private network is refused; to fetch from
        /// there, write the address itself.
        urls: Vec<UrlPrefix> = Vec::new(),
    }
}
