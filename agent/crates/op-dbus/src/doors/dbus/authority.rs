//! What polkit says about a caller.

use std::collections::HashMap;
use std::time::Duration;

use tools::Role;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Header};
use zbus::names::BusName;
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

/// How long polkit may take to look into its rules.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a person may take to enter a password.
const PERSON: Duration = Duration::from_secs(120);

/// What was found out about a caller.
pub(super) struct Verdict {
    pub(super) uid: u32,
    /// The role that it has for what it asks; `None` for none.
    pub(super) role: Option<Role>,
    /// Why not.
    pub(super) refusal: Option<String>,
    /// Whether a person may be asked.
    pub(super) interactive: bool,
}

/// The polkit action that stands for a role.
fn action(role: Role) -> &'static str {
    match role {
        Role::Viewer => "org.opdbus1.read",
        Role::Operator => "org.opdbus1.write",
        Role::Admin => "org.opdbus1.destroy",
    }
}

/// Asks the bus and polkit.
pub(super) struct Authority {
    connection: Connection,
}

impl Authority {
    pub(super) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
        }
    }

    /// Whether the sender of a message may do what takes this role. Everything but a clear yes is a no.
    pub(super) async fn judge(&self, header: &Header<'_>, role: Role, tool: &str) -> Verdict {
        let interactive = header
            .primary()
            .flags()
            .contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let mut verdict = Verdict {
            uid: u32::MAX,
            role: None,
            refusal: None,
            interactive,
        };
        match self.uid(header).await {
            Ok(uid) => verdict.uid = uid,
            Err(error) => {
                verdict.refusal = Some(format!("the bus does not say who asks: {error}"));
                return verdict;
            }
        }
        if verdict.uid == 0 {
            verdict.role = Some(Role::Admin);
            return verdict;
        }
        let limit = if interactive { PERSON } else { PATIENCE };
        let asked = tokio::time::timeout(limit, self.ask(header, action(role), tool, interactive));
        match asked.await {
            Ok(Ok(Answer::Yes)) => verdict.role = Some(role),
            Ok(Ok(Answer::No)) => {
                verdict.refusal = Some(format!("polkit does not allow {}", action(role)));
            }
            Ok(Ok(Answer::Challenge)) => {
                verdict.refusal = Some(format!(
                    "polkit wants {} to be authenticated, and this call does not let it ask",
                    action(role)
                ));
            }
            Ok(Err(error)) => verdict.refusal = Some(format!("polkit does not answer: {error}")),
            Err(_) => {
                verdict.refusal = Some(format!(
                    "polkit does not answer within {} s",
                    limit.as_secs()
                ));
            }
        }
        verdict
    }

    async fn uid(&self, header: &Header<'_>) -> zbus::Result<u32> {
        let sender = header.sender().ok_or(zbus::Error::MissingField)?;
        let bus = DBusProxy::new(&self.connection).await?;
        Ok(bus
            .get_connection_unix_user(BusName::from(sender.clone()))
            .await?)
    }

    async fn ask(
        &self,
        header: &Header<'_>,
        action: &str,
        tool: &str,
        interactive: bool,
    ) -> Result<Answer, zbus::Error> {
        let authority = AuthorityProxy::new(&self.connection).await?;
        let subject = Subject::new_for_message_header(header)
            .map_err(|error| zbus::Error::Failure(error.to_string()))?;
        let flags = match interactive {
            true => CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
            false => CheckAuthorizationFlags::empty(),
        };
        let details = HashMap::from([("tool", tool)]);
        // polkit takes details from root alone, which is who we are but for tests.
        let result = authority
            .check_authorization(&subject, action, &details, flags, "")
            .await?;
        Ok(match (result.is_authorized, result.is_challenge) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::Challenge,
            (false, false) => Answer::No,
        })
    }
}

enum Answer {
    Yes,
    No,
    Challenge,
}
