//! The messages of push jobs and broadcasts.

use std::collections::BTreeMap;

use af_domain::agent::Binding;
use af_domain::ids::{AgentKey, ConversationId, RunKey};
use af_domain::message::{PUSH_MODE, Payload, SYSTEM_PUSH, TELEGRAM};
use af_domain::policy::Policies;
use af_domain::push::{MAX_ERROR_CHARS, PushJob, PushMode};
use af_domain::time::Timestamp;
use af_store::conversation::NewMessage;

use crate::agents::profiles;
use crate::intake::enqueue::{Enqueue, Identity, check_payload, prepared};
use crate::{App, AppError, Result};

/// A message, or the reason why there is none.
pub(super) type MessageOrReason = Result<NewMessage, String>;

/// The text of a push, and what the message says about its origin.
pub(super) struct Push {
    pub run: RunKey,
    pub mode: PushMode,
    /// The name of the metadata field with the id of the origin, and this id.
    pub origin: (&'static str, String),
    pub text: String,
}

impl Push {
    pub fn of_job(job: &PushJob, run: RunKey, mode: PushMode) -> Self {
        Self { run, mode, origin: ("pushJobId", job.id.to_string()), text: job.text.clone() }
    }
}

/// Returns the message for the user of `binding`, or the reason why the user gets none.
pub(super) async fn to_user(
    app: &App,
    binding: &Binding,
    push: Push,
    now: Timestamp,
    policies: &Policies,
) -> Result<MessageOrReason> {
    let person = binding.telegram.as_ref();
    let chat = person.and_then(|person| person.chat.as_ref());
    let mut metadata = BTreeMap::from([("consumerUserId".to_owned(), binding.user.to_string())]);
    if let Some(chat) = chat {
        metadata.insert("telegramChatId".to_owned(), chat.to_string());
    }
    if let Some(user) = person.and_then(|person| person.user.as_ref()) {
        metadata.insert("telegramUserId".to_owned(), user.to_string());
    }
    let (provider, recipient) = match chat {
        Some(chat) => (TELEGRAM, chat.to_string()),
        None => (SYSTEM_PUSH, binding.user.to_string()),
    };
    let payload = Payload {
        provider: provider.to_owned(),
        provider_user_id: recipient,
        metadata,
        ..Payload::default()
    };
    built(app, &binding.agent, binding.conversation.clone(), payload, push, now, policies).await
}

/// Returns the message for an agent without users, or the reason why the agent gets none.
pub(super) async fn to_agent(
    app: &App,
    agent: &AgentKey,
    conversation: ConversationId,
    push: Push,
    now: Timestamp,
    policies: &Policies,
) -> Result<MessageOrReason> {
    let payload = Payload {
        provider: SYSTEM_PUSH.to_owned(),
        provider_user_id: agent.to_string(),
        ..Payload::default()
    };
    built(app, agent, conversation, payload, push, now, policies).await
}

async fn built(
    app: &App,
    agent: &AgentKey,
    conversation: ConversationId,
    mut payload: Payload,
    push: Push,
    now: Timestamp,
    policies: &Policies,
) -> Result<MessageOrReason> {
    if let Err(error) = profiles::taking_messages(app, agent).await {
        return reason_of(error).map(Err);
    }
    let Push { run, mode, origin: (name, id), text } = push;
    payload.message_text = text;
    let said = [(name, id), ("runKey", run.to_string()), (PUSH_MODE, mode.as_str().to_owned())];
    payload.metadata.extend(said.map(|(name, value)| (name.to_owned(), value)));
    let built = check_payload(&mut payload).map_err(AppError::from).and_then(|()| {
        let request = Enqueue {
            identity: Identity::Run(run),
            conversation,
            agent: agent.clone(),
            payload,
            priority: None,
            scheduled_for: None,
            max_attempts: None,
        };
        prepared(app, request, None, now, policies)
    });
    match built {
        Ok(message) => Ok(Ok(message)),
        Err(error) => reason_of(error).map(Err),
    }
}

/// Returns the text of a refusal for the record of a dispatch. Any other error is returned as it is.
pub(super) fn reason_of(error: AppError) -> Result<String> {
    match error {
        AppError::Refused(refusal) => Ok(refusal.detail.chars().take(MAX_ERROR_CHARS).collect()),
        other => Err(other),
    }
}
