//! Whose documents a call concerns.

use af_domain::agent::conversation_of;
use af_domain::document::DocumentSet;
use af_domain::ids::{AgentKey, ConsumerUserId, DocumentPath};
use af_domain::refusal::Refusal;
use af_store::conversation_key;

use crate::access::auth::Caller;
use crate::agents::profiles;
use crate::{App, Result};

/// The documents of an agent, or of a user with an agent.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The agent.
    pub agent: AgentKey,
    /// The user; `None` for the documents of the agent itself.
    pub user: Option<ConsumerUserId>,
}

impl Scope {
    /// Returns the set, or 404 if there is no such agent.
    pub(super) async fn set(&self, app: &App) -> Result<DocumentSet> {
        profiles::get(app, &self.agent).await?;
        Ok(match &self.user {
            None => DocumentSet::Agent(self.agent.clone()),
            Some(user) => DocumentSet::Conversation(conversation_key(&conversation_of(&self.agent, user)?)),
        })
    }

    /// Refuses a document that no user has.
    pub(super) fn check(&self, path: &DocumentPath) -> Result<(), Refusal> {
        if self.user.is_none() || path.is_personal() {
            return Ok(());
        }
        let detail = format!(
            "path must be USER.md, MEMORY.md or memory/YYYY-MM-DD.md: {path} is the same for all users, see PUT \
             /v1/agents/{}/documents/{path}",
            self.agent
        );
        Err(Refusal::field("/path", detail))
    }

    /// Returns the 404 for a document that does not exist.
    pub(super) fn missing(&self, path: &DocumentPath) -> Refusal {
        let of = self.user.as_ref().map(|user| format!(" of user {user}")).unwrap_or_default();
        Refusal::not_found(format!("document {path}{of} at agent {}", self.agent))
    }
}

/// The name of a caller, kept with a version.
pub fn editor(caller: &Caller) -> String {
    match &caller.user {
        Some(user) => format!("user:{}", user.id),
        None => format!("key:{}", caller.key_id),
    }
}
