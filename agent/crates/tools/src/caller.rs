//! Who asks, through which door, and what they may.

use std::fmt;

use declaration::{Access, Scope, TokenName, Who};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The user of the web server.
const WEB_USER: &str = "op-dbus-web";

/// What the name of a token's owner begins with. No login name has a colon (passwd(5)).
pub const TOKEN: &str = "token:";

/// The token that the caller of this name came with, if it was one.
pub fn token_of(name: &str) -> Option<&str> {
    name.strip_prefix(TOKEN)
}

/// What a caller may do; each role may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look, and change nothing.
    Viewer,
    /// Change things.
    Operator,
    /// Destroy data, install software, write files, run commands.
    Admin,
}

impl Role {
    /// The role that a scope of a token gives.
    pub fn of(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Viewer,
            Scope::Write => Self::Operator,
            Scope::Destroy => Self::Admin,
        }
    }

    /// The scope that gives this role.
    pub fn scope(self) -> Scope {
        match self {
            Self::Viewer => Scope::Read,
            Self::Operator => Scope::Write,
            Self::Admin => Scope::Destroy,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// The way by which a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// The command line.
    Cli,
    /// The system bus.
    Dbus,
    /// A Unix socket with JSON-RPC.
    Jsonrpc,
    /// The OVSDB end of such a socket.
    Ovsdb,
    /// The Model Context Protocol, over standard input or HTTP.
    Mcp,
    /// The web server: the chat, and programs that use REST.
    Web,
    /// The daemon itself, when it mends drift.
    Daemon,
    /// A task that an agent carries out.
    Agent,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The uid that the kernel, or the bus, vouches for.
    pub uid: u32,
    /// The login name, or the number.
    pub name: String,
    /// Through which door.
    pub door: Door,
    /// What they may do; `None` for nothing at all.
    pub role: Option<Role>,
    /// Why the role is what it is, where the door knows more than the declaration says.
    pub refusal: Option<String>,
    /// Whether a person is there who can be asked.
    pub interactive: bool,
    /// The person behind `sudo`, `doas` or a server that asks for its users.
    pub on_behalf_of: Option<String>,
}

impl Caller {
    /// A caller with the role that the declaration gives to its uid.
    pub fn of_uid(uid: u32, door: Door, access: &Access, accounts: &Accounts) -> Self {
        Self {
            uid,
            name: accounts.name(uid),
            door,
            role: accounts.role(uid, access),
            refusal: None,
            interactive: false,
            on_behalf_of: None,
        }
    }

    /// The owner of a token that a web server of this uid passes on; the uid itself gives nothing.
    pub fn of_token(uid: u32, door: Door, token: &TokenName, scopes: &[Scope]) -> Self {
        let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        Self {
            uid,
            name: format!("{TOKEN}{token}"),
            door,
            role: scopes.iter().copied().map(Role::of).max(),
            refusal: Some(format!(
                "the token `{token}` has the scopes {}. Scopes are given in the declaration, under \
                 `web.tokens.{token}.scopes`",
                words.join(" ")
            )),
            interactive: false,
            on_behalf_of: None,
        }
    }

    /// What stands in the ledger.
    pub fn actor(&self) -> Value {
        let mut actor = json!({ "uid": self.uid, "name": self.name, "door": self.door });
        if let Some(behind) = &self.on_behalf_of {
            actor["on_behalf_of"] = json!(behind);
        }
        actor
    }
}

/// The accounts of the host: `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads both files; one that is missing has nobody in it.
    pub fn read() -> Self {
        Self {
            passwd: std::fs::read_to_string("/etc/passwd").unwrap_or_default(),
            group: std::fs::read_to_string("/etc/group").unwrap_or_default(),
        }
    }

    /// Accounts from the text of the two files.
    pub fn of(passwd: &str, group: &str) -> Self {
        Self {
            passwd: passwd.to_owned(),
            group: group.to_owned(),
        }
    }

    /// The login name of a uid, or the number.
    pub fn name(&self, uid: u32) -> String {
        let entry = self.user(uid).map(|(name, _)| name.to_owned());
        entry.unwrap_or_else(|| uid.to_string())
    }

    /// The gid of a group.
    pub fn gid(&self, group: &str) -> Option<u32> {
        let mut lines = self.group.lines().map(|line| line.split(':'));
        lines.find_map(|mut fields| {
            (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
        })
    }

    /// The highest role that the declaration gives to a uid; root is admin.
    pub fn role(&self, uid: u32, access: &Access) -> Option<Role> {
        if uid == 0 {
            return Some(Role::Admin);
        }
        let (name, gid) = self.user(uid)?;
        // It passes on what others say, and has nothing to say itself, whatever groups get it to the socket.
        if name == WEB_USER {
            return None;
        }
        let roles = [
            (Role::Admin, &access.admin),
            (Role::Operator, &access.operator),
            (Role::Viewer, &access.viewer),
        ];
        let has = |who: &Who| {
            who.users.iter().any(|user| user.as_str() == name)
                || who
                    .groups
                    .iter()
                    .any(|group| self.is_member(name, gid, group.as_str()))
        };
        roles
            .into_iter()
            .find_map(|(role, who)| has(who).then_some(role))
    }

    /// Name and primary group of a uid.
    fn user(&self, uid: u32) -> Option<(&str, u32)> {
        self.passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let found: u32 = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (found == uid).then_some((name, gid))
        })
    }

    fn is_member(&self, user: &str, primary: u32, group: &str) -> bool {
        self.group.lines().any(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(group) {
                return false;
            }
            let gid = fields.nth(1).and_then(|gid| gid.parse().ok());
            gid == Some(primary)
                || fields
                    .next()
                    .is_some_and(|members| members.split(',').any(|member| member == user))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n\
        bob:x:1001:2000::/:/bin/sh\ncarol:x:1002:1002::/:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nopdbus:x:2000:alice\nwheel:x:10:carol,alicex\nshort\n";

    fn access() -> Access {
        let mut access = Access::default();
        access.admin.groups = vec!["wheel".parse().unwrap()];
        access.operator.users = vec!["alice".parse().unwrap()];
        access
    }

    #[test]
    fn a_role_comes_from_the_name_or_any_group() {
        let accounts = Accounts::of(PASSWD, GROUP);
        let role = |uid| accounts.role(uid, &access());
        assert_eq!(role(0), Some(Role::Admin));
        // Operator by name, viewer by group: the higher one counts.
        assert_eq!(role(1000), Some(Role::Operator));
        // By primary group.
        assert_eq!(role(1001), Some(Role::Viewer));
        assert_eq!(role(1002), Some(Role::Admin));
        assert_eq!(role(4711), None);
    }

    #[test]
    fn the_web_server_has_no_role_of_its_own() {
        let passwd = "op-dbus-web:x:900:2000::/:/bin/sh\n";
        let accounts = Accounts::of(passwd, "opdbus:x:2000:op-dbus-web\n");
        assert_eq!(accounts.role(900, &Access::default()), None);
    }

    #[test]
    fn the_highest_scope_of_a_token_is_its_role() {
        let role = |scopes: &[Scope]| {
            Caller::of_token(900, Door::Mcp, &"laptop".parse().unwrap(), scopes).role
        };
        assert_eq!(role(&[]), None);
        assert_eq!(role(&[Scope::Read]), Some(Role::Viewer));
        assert_eq!(role(&[Scope::Destroy, Scope::Read]), Some(Role::Admin));
        let caller = Caller::of_token(900, Door::Mcp, &"laptop".parse().unwrap(), &[Scope::Write]);
        let actor = json!({ "uid": 900, "name": "token:laptop", "door": "mcp" });
        assert_eq!(caller.actor(), actor);
    }

    #[test]
    fn nobody_is_a_member_by_a_part_of_the_name() {
        let accounts = Accounts::of(PASSWD, "wheel:x:10:malice,alicex\n");
        assert_eq!(accounts.role(1000, &access()), Some(Role::Operator));
        assert_eq!(accounts.role(1001, &access()), None);
    }
}
