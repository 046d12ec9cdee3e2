//! Send: a message of a consumer user to the agent that the user is bound to.

use std::collections::BTreeMap;

use af_domain::ids::{AgentKey, ConsumerUserId, TemplateKey};
use af_domain::message::{Payload, SYSTEM_PUSH};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_store::message::body_hash;

use crate::intake::enqueue::{Accepted, Enqueue, Identity, enqueue_counted};
use crate::intake::templates;
use crate::{App, AppError, Result};

/// The message of a user.
#[derive(Debug, Clone)]
pub struct UserMessage {
    /// The text, or the template that has it.
    pub content: Content,
    /// Further data.
    pub metadata: BTreeMap<String, String>,
    /// The due time; `None` for now.
    pub scheduled_for: Option<Timestamp>,
    /// The priority, 0 to 100; `None` for the policy's default.
    pub priority: Option<u64>,
    /// The caller and the idempotency key of the call.
    pub idempotency: Option<(String, String)>,
}

/// The content of a message of a user.
#[derive(Debug, Clone)]
pub enum Content {
    /// A text.
    Text(String),
    /// The text of a template.
    Template(TemplateKey),
}

/// The metadata field with the key of the template of a message.
const TEMPLATE_METADATA: &str = "templateId";

impl Content {
    /// The content of a request, which must have either a text or a template.
    pub fn of(text: Option<String>, template: Option<TemplateKey>) -> Result<Self, Refusal> {
        match (text, template) {
            (Some(text), None) if text.trim().is_empty() => {
                Err(Refusal::field("/content", "content must not be blank"))
            }
            (Some(text), None) => Ok(Self::Text(text)),
            (None, Some(key)) => Ok(Self::Template(key)),
            (None, None) => Err(Refusal::field("/content", "give a content or a templateId")),
            (Some(_), Some(_)) => {
                Err(Refusal::field("/templateId", "give either a content or a templateId, not both"))
            }
        }
    }
}

/// Accepts a message of `user` to `agent`.
///
/// # Errors
/// Returns 404 if the user has no active binding or the template does not exist, 409 if the user is bound to another agent,
/// and any refusal of `enqueue`. Nothing is written then.
pub async fn send(app: &App, user: &ConsumerUserId, agent: &AgentKey, said: UserMessage) -> Result<Accepted> {
    let binding = app.store.binding(user, true).await?.ok_or_else(|| unbound(user))?;
    if binding.agent != *agent {
        let detail = format!(
            "user {user} is bound to agent {}; bind the user to {agent} with PUT /v1/users/{{consumerUserId}}/binding",
            binding.agent
        );
        return Err(Refusal::new(Code::Conflict, detail).into());
    }
    let identity = identity(user, agent, &said);
    let mut metadata = said.metadata;
    let (text, template) = match said.content {
        Content::Text(text) => (text, None),
        Content::Template(key) => {
            metadata.insert(TEMPLATE_METADATA.to_owned(), key.to_string());
            (templates::get(app, &key).await?.content.content, Some(key))
        }
    };
    metadata.insert("consumerUserId".to_owned(), user.to_string());
    let request = Enqueue {
        identity,
        conversation: binding.conversation,
        agent: binding.agent,
        payload: Payload {
            // The destination is resolved when the message is claimed, because the binding may change before.
            provider: SYSTEM_PUSH.to_owned(),
            provider_user_id: user.to_string(),
            message_text: text,
            metadata,
            ..Payload::default()
        },
        priority: said.priority,
        scheduled_for: said.scheduled_for,
        max_attempts: None,
    };
    enqueue_counted(app, request, template).await.map_err(with_user_pointer)
}

/// Changes the pointer of a refusal to the field in the user's request.
fn with_user_pointer(error: AppError) -> AppError {
    let AppError::Refused(mut refusal) = error else { return error };
    refusal.pointer = refusal.pointer.map(|pointer| match pointer.as_str() {
        "/payload/messageText" => "/content".to_owned(),
        "/payload/metadata" => "/metadata".to_owned(),
        _ => pointer,
    });
    AppError::Refused(refusal)
}

fn unbound(user: &ConsumerUserId) -> Refusal {
    let detail =
        format!("user {user} has no active binding; make one with PUT /v1/users/{{consumerUserId}}/binding");
    Refusal::new(Code::NotFound, detail)
}

/// The binding may change between two attempts of one call, so it is not part of the identity.
fn identity(user: &ConsumerUserId, agent: &AgentKey, said: &UserMessage) -> Identity {
    let Some((caller, key)) = said.idempotency.clone() else { return Identity::Fresh };
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    // The text of a template may change between two attempts of one call, too.
    let (text, template) = match &said.content {
        Content::Text(text) => (text.clone(), None),
        Content::Template(key) => (String::new(), Some(key)),
    };
    let mut parts = vec![
        user.to_string(),
        agent.to_string(),
        text,
        number(said.priority),
        number(said.scheduled_for.map(Timestamp::as_millis)),
    ];
    parts.extend(said.metadata.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
    parts.extend(template.map(|key| format!("template {key}")));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    Identity::Key { caller, key, sent: Some(body_hash(&parts)) }
}
