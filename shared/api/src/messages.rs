//! Messages: enqueued, shown and cancelled; payloads and attachments.

use std::collections::BTreeMap;

use af_domain::attachment::{Attachment, AttachmentState};
use af_domain::attempt::Attempt;
use af_domain::ids::{AgentKey, ConversationId, MessageId, TemplateKey};
use af_domain::message::{MessageView, Payload, RunningAttempt};
use af_domain::outbox::{Delivery, Part};
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;
use crate::usage::UsageBody;

/// A message.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnqueueRequest {
    /// The conversation it goes into.
    #[schema(value_type = String)]
    pub conversation_id: Id<ConversationId>,
    /// Must be the conversation's agent, once it has one.
    #[schema(value_type = String)]
    pub agent_key: Id<AgentKey>,
    /// What it carries.
    pub payload: PayloadRequest,
    /// 0 to 100, higher runs first; the policy's default when left out.
    pub priority: Option<u64>,
    /// When it is due, epoch ms; now when left out or past.
    pub scheduled_for: Option<u64>,
    /// Claims before it is a dead letter; the policy's default when left out.
    pub max_attempts: Option<u32>,
}

/// What the message carries: at most 256 KB as JSON.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayloadRequest {
    /// Where it comes from: `telegram`, `system_push`, or the caller's own word. A worker gets the target of the reply
    /// instead, as it is when the worker claims the message: `telegram` with the chat that the user of the conversation
    /// is bound to, else `system_push`. The caller's own word stays.
    pub provider: String,
    /// Who sent it; for Telegram the chat to reply to.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's own id of it.
    pub external_message_id: Option<String>,
    /// The provider's update, unchanged.
    pub raw_update_json: Option<String>,
    /// Further facts about it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// An accepted message. It ends `done`, `dead_letter` or `cancelled`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnqueueAnswer {
    /// Its id.
    pub message_id: String,
    /// Whether an earlier call with the same idempotency key was accepted.
    pub duplicate: bool,
}

/// A message of the user.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendRequest {
    /// The text. Either a text or a template is given.
    pub content: Option<String>,
    /// The key of a message template, whose text is sent and whose use is counted.
    #[schema(value_type = Option<String>)]
    pub template_id: Option<Id<TemplateKey>>,
    /// Further facts about it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// When it is due, epoch ms; now when left out or past.
    pub scheduled_for: Option<u64>,
    /// 0 to 100, higher runs first; the policy's default when left out.
    pub priority: Option<u64>,
}

/// An accepted message. It ends `done`, `dead_letter` or `cancelled`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendAnswer {
    /// Its id.
    pub message_id: String,
}

/// A message with its state as it is now.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// Its id.
    pub message_id: String,
    /// The conversation it belongs to.
    pub conversation_id: String,
    /// The agent it is for.
    pub agent_key: String,
    /// `queued`, `processing`, `done`, `dead_letter` or `cancelled`.
    pub status: String,
    /// Its priority, 0 to 100; higher runs first.
    pub priority: u8,
    /// Claims that count towards its limit, with a running one. A claim that a drain cut off does not count.
    pub attempts: u32,
    /// When it is due next, epoch ms; only while it is queued.
    pub scheduled_for: Option<u64>,
    /// When it was accepted, epoch ms.
    pub enqueued_at: u64,
    /// When it ended, epoch ms.
    pub finished_at: Option<u64>,
    /// Why its latest attempt ended without success.
    pub last_error: Option<String>,
    /// The agent's answer.
    pub reply: Option<String>,
    /// What became of the answer, if the deployment sends it to Telegram.
    pub delivery: Option<DeliveryBody>,
    /// What its newest attempts have used, at most 20 of them.
    pub usage: Option<UsageBody>,
    /// What its worker last said of its progress; only while it runs.
    pub progress: Option<String>,
    /// Whether it was cancelled while it runs; its worker learns that with its next heartbeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// What it carries. Lists leave out payloads of more than 4 KB; `GET` of the message has them.
    pub payload: Option<PayloadBody>,
}

/// The delivery of a reply to Telegram.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryBody {
    /// `waiting`, `sent`, `uncertain` (Telegram's answer was lost, so a part may have arrived or not), `failed`,
    /// `cancelled` (the chat is no longer the user's) or `dropped` (by an operator).
    pub state: String,
    /// The chat, as `<botIdentity>:<chatId>`.
    pub chat: String,
    /// Why the reply did not arrive.
    pub reason: Option<String>,
    /// The messages of the reply that were sent or tried, in order.
    pub parts: Vec<DeliveryPart>,
}

/// One message of a reply.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryPart {
    /// `sent`, `uncertain` or `failed`.
    pub state: String,
    /// Its id in the chat, once it is sent.
    pub message_id: Option<i64>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            state: delivery.state.as_str().to_owned(),
            chat: delivery.chat.to_string(),
            reason: delivery.reason,
            parts: delivery.parts.into_iter().map(DeliveryPart::from).collect(),
        }
    }
}

impl From<Part> for DeliveryPart {
    fn from(part: Part) -> Self {
        let (state, message_id) = match part {
            Part::Sent { message_id } => ("sent", Some(message_id)),
            Part::Uncertain => ("uncertain", None),
            Part::Failed => ("failed", None),
        };
        Self { state: state.to_owned(), message_id }
    }
}

/// A message with its state as it is now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageWithAttempts {
    /// The message.
    #[serde(flatten)]
    pub message: MessageBody,
    /// Its newest attempts, oldest first; the last one may still run.
    pub attempt_log: Vec<AttemptBody>,
}

/// An attempt: one claim of the message. Times are epoch ms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptBody {
    /// Which attempt, from 1. A dead letter that is retried begins again at 1.
    pub number: u32,
    /// The fence of its lease.
    pub fence: u64,
    /// The worker that claimed it.
    pub worker_id: String,
    /// When it was claimed.
    pub claimed_at: u64,
    /// Null while it runs.
    pub ended_at: Option<u64>,
    /// `running`, `done`, `requeued`, `dead_letter` or `cancelled`.
    pub outcome: String,
    /// What ended it: `worker`, `recovery` or `operator`; null while it runs.
    pub ended_by: Option<String>,
    /// Why it ended without success, cut to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it has used, as its worker reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageBody>,
}

/// The result of a cancellation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelBody {
    /// The message.
    pub message_id: String,
    /// `cancelled`, or `processing` until its worker knows.
    pub status: String,
    /// Whether it still runs; it ends cancelled once its worker knows, with its next heartbeat.
    pub cancelling: bool,
}

/// What a message carries.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PayloadBody {
    /// Where it came from and where the reply goes.
    pub provider: String,
    /// Who sent it; for Telegram the chat to reply to.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's own id of it.
    pub external_message_id: Option<String>,
    /// The provider's update, unchanged.
    pub raw_update_json: Option<String>,
    /// Further facts about it.
    pub metadata: BTreeMap<String, String>,
    /// Files that came with it. A worker gets those that are fetched.
    pub attachments: Vec<AttachmentBody>,
}

/// A file that came with a message.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentBody {
    /// `photo`, `video`, `animation`, `video_note`, `sticker`, `audio`, `voice` or `document`.
    pub kind: String,
    /// `pending` while it is fetched, `ready`, `expired`, or `failed`.
    pub status: String,
    /// The id by which the bot that received the message fetches the file.
    pub telegram_file_id: String,
    /// The name that its sender gave it.
    pub file_name: Option<String>,
    /// What it is, such as image/jpeg.
    pub mime_type: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// Its id, once it was fetched.
    pub storage_id: Option<String>,
    /// Until when it is kept, epoch ms, once it was fetched.
    pub expires_at: Option<u64>,
    /// Answers a plain GET, for 15 minutes; only to a worker, while it is ready.
    pub download_url: Option<String>,
    /// Why it could not be fetched.
    pub error: Option<String>,
}

impl From<PayloadRequest> for Payload {
    fn from(payload: PayloadRequest) -> Self {
        Self {
            provider: payload.provider,
            provider_user_id: payload.provider_user_id,
            message_text: payload.message_text,
            external_message_id: payload.external_message_id,
            raw_update_json: payload.raw_update_json,
            metadata: payload.metadata,
            ..Self::default()
        }
    }
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            fence: attempt.fence.0,
            worker_id: attempt.worker.to_string(),
            claimed_at: attempt.claimed_at.as_millis(),
            ended_at: Some(attempt.ended_at.as_millis()),
            outcome: attempt.end.as_str().to_owned(),
            ended_by: Some(attempt.ended_by.as_str().to_owned()),
            error: attempt.error,
            usage: attempt.usage.map(UsageBody::from),
        }
    }
}

impl From<RunningAttempt> for AttemptBody {
    fn from(attempt: RunningAttempt) -> Self {
        Self {
            number: attempt.number,
            fence: attempt.fence.0,
            worker_id: attempt.worker.to_string(),
            claimed_at: attempt.claimed_at.as_millis(),
            ended_at: None,
            outcome: "running".to_owned(),
            ended_by: None,
            error: None,
            usage: None,
        }
    }
}

impl From<MessageView> for MessageBody {
    fn from(view: MessageView) -> Self {
        let message = view.message;
        // A provider is never blank: a payload without one was not read.
        let is_read = !message.payload.provider.is_empty();
        Self {
            usage: message.usage().map(UsageBody::from),
            message_id: message.id.to_string(),
            conversation_id: message.conversation.to_string(),
            agent_key: message.agent.to_string(),
            status: view.status.to_owned(),
            priority: message.priority.get(),
            attempts: view.attempts,
            scheduled_for: view.scheduled_for.map(Timestamp::as_millis),
            enqueued_at: message.enqueued_at.as_millis(),
            finished_at: message.finished_at.map(Timestamp::as_millis),
            last_error: message.last_error,
            reply: message.reply.map(|reply| reply.text),
            delivery: message.delivery.map(DeliveryBody::from),
            progress: view.progress,
            cancelling: view.cancelling,
            payload: is_read.then(|| PayloadBody::new(message.payload, view.at)),
        }
    }
}

impl CancelBody {
    /// The answer for a message that has ended, or that runs while it is `cancelling`.
    pub fn new(id: &MessageId, cancelling: bool) -> Self {
        let status = if cancelling { "processing" } else { "cancelled" };
        Self { message_id: id.to_string(), status: status.to_owned(), cancelling }
    }
}

impl PayloadBody {
    /// The payload as it is at `now`.
    pub fn new(payload: Payload, now: Timestamp) -> Self {
        Self {
            provider: payload.provider,
            provider_user_id: payload.provider_user_id,
            message_text: payload.message_text,
            external_message_id: payload.external_message_id,
            raw_update_json: payload.raw_update_json,
            metadata: payload.metadata,
            attachments: payload.attachments.into_iter().map(|a| AttachmentBody::new(a, now)).collect(),
        }
    }
}

impl AttachmentBody {
    fn new(attachment: Attachment, now: Timestamp) -> Self {
        let status = attachment.status(now).to_owned();
        let (storage, error) = match attachment.state {
            AttachmentState::Pending => (None, None),
            AttachmentState::Ready { storage, expires_at } => (Some((storage, expires_at)), None),
            AttachmentState::Failed { reason } => (None, Some(reason)),
        };
        let (storage_id, expires_at) = storage.unzip();
        Self {
            kind: attachment.kind.as_str().to_owned(),
            status,
            telegram_file_id: attachment.telegram_file_id,
            file_name: attachment.file_name,
            mime_type: attachment.content_type.map(|t| t.to_string()),
            size_bytes: attachment.size_bytes,
            storage_id: storage_id.map(|id| id.to_string()),
            expires_at: expires_at.map(Timestamp::as_millis),
            download_url: None,
            error,
        }
    }
}
