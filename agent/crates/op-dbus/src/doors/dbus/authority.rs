//! What polkit says about a caller.

use std::collections::HashMap;
use std::time::Duration;

use tools::{Role, Tool};
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::message::{Flags, Header};
use zbus::names::{BusName, OwnedUniqueName, UniqueName};
use zbus_polkit::policykit1::{AuthorityProxy, CheckAuthorizationFlags, Subject};

use crate::daemon::orchestrator::Right;

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
    /// Whether one was, and polkit said yes for that.
    authenticated: bool,
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
#[derive(Clone)]
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
            authenticated: false,
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
        // Nobody is asked for a password where there is a right without one.
        let mut answer = self.answer(header, role, tool, false).await;
        if interactive && matches!(answer, Ok(Answer::Challenge)) {
            answer = self.answer(header, role, tool, true).await;
            verdict.authenticated = matches!(answer, Ok(Answer::Yes));
        }
        match answer {
            Ok(Answer::Yes) => verdict.role = Some(role),
            Ok(Answer::No) => {
                verdict.refusal = Some(format!("polkit does not allow {}", action(role)));
            }
            Ok(Answer::Challenge) => {
                verdict.refusal = Some(format!(
                    "polkit wants {} to be authenticated, and this call does not let it ask",
                    action(role)
                ));
            }
            Err(why) => verdict.refusal = Some(why),
        }
        verdict
    }

    /// What polkit says in time of the sender of a message, or why it says nothing.
    async fn answer(
        &self,
        header: &Header<'_>,
        role: Role,
        tool: &str,
        interactive: bool,
    ) -> Result<Answer, String> {
        let limit = if interactive { PERSON } else { PATIENCE };
        let asked = self.ask(header, action(role), tool, interactive);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("polkit does not answer: {error}")),
            Err(_) => Err(format!(
                "polkit does not answer within {} s",
                limit.as_secs()
            )),
        }
    }

    /// The sender of a message as the holder of a right that was just given.
    pub(super) fn holder(
        &self,
        header: &Header<'_>,
        verdict: &Verdict,
        tool: &Tool,
    ) -> Result<Holder, zbus::Error> {
        let sender = header.sender().ok_or(zbus::Error::MissingField)?;
        let subject = Subject::new_for_message_header(header)
            .map_err(|error| zbus::Error::Failure(error.to_string()))?;
        Ok(Holder {
            authority: self.clone(),
            sender: sender.to_owned().into(),
            subject,
            uid: verdict.uid,
            role: tool.role,
            tool: tool.name,
            authenticated: verdict.authenticated,
        })
    }

    async fn uid(&self, header: &Header<'_>) -> zbus::Result<u32> {
        let sender = header.sender().ok_or(zbus::Error::MissingField)?;
        self.uid_of(sender).await
    }

    async fn uid_of(&self, sender: &UniqueName<'_>) -> zbus::Result<u32> {
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
        let subject = Subject::new_for_message_header(header)
            .map_err(|error| zbus::Error::Failure(error.to_string()))?;
        self.ask_about(&subject, action, tool, interactive).await
    }

    async fn ask_about(
        &self,
        subject: &Subject,
        action: &str,
        tool: &str,
        interactive: bool,
    ) -> Result<Answer, zbus::Error> {
        let authority = AuthorityProxy::new(&self.connection).await?;
        let flags = match interactive {
            true => CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
            false => CheckAuthorizationFlags::empty(),
        };
        let details = HashMap::from([("tool", tool)]);
        // polkit takes details from root alone, which is who we are but for tests.
        let result = authority
            .check_authorization(subject, action, &details, flags, "")
            .await?;
        Ok(match (result.is_authorized, result.is_challenge) {
            (true, _) => Answer::Yes,
            (false, true) => Answer::Challenge,
            (false, false) => Answer::No,
        })
    }
}

/// Somebody on the bus whom polkit allowed something that is carried out later.
pub(super) struct Holder {
    authority: Authority,
    sender: OwnedUniqueName,
    subject: Subject,
    uid: u32,
    role: Role,
    tool: &'static str,
    /// A person has entered a password for this very call.
    authenticated: bool,
}

impl Holder {
    /// Whether the right is still there. Nobody is asked for a password again.
    pub(super) async fn right(&self) -> Right {
        match self.authority.uid_of(&self.sender).await {
            Ok(uid) if uid == self.uid => {}
            // Who left cannot be asked about.
            _ => return Right::Unknown,
        }
        if self.uid == 0 {
            return Right::Kept;
        }
        let action = action(self.role);
        let asked = self
            .authority
            .ask_about(&self.subject, action, self.tool, false);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Answer::Yes)) => Right::Kept,
            Ok(Ok(Answer::Challenge)) if self.authenticated => Right::Kept,
            Ok(Ok(_)) => Right::Lost(format!("polkit does not allow {action} any more")),
            Ok(Err(error)) => Right::Lost(format!("polkit does not answer: {error}")),
            Err(_) => Right::Lost(format!(
                "polkit does not answer within {} s",
                PATIENCE.as_secs()
            )),
        }
    }
}

enum Answer {
    Yes,
    No,
    Challenge,
}
