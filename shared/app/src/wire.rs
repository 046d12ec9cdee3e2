//! Views as JSON, where more than one function answers them.

use std::collections::BTreeMap;

use af_domain::attachment::{Attachment, AttachmentState};
use af_domain::ids::MessageId;
use af_domain::message::Payload;
use af_domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::conversations::read_models::MessageView;
use crate::queue::Cancelled;

/// A message with its state as it is now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// Its id.
    pub message_id: String,
    /// The conversation it belongs to.
    pub conversation_id: String,
    /// The agent it is for.
    pub agent_key: String,
    /// `queued`, `processing`, `done`, `dead_letter` or `cancelled`.
    pub status: &'static str,
    /// Its priority, 0 to 100; higher runs first.
    pub priority: u8,
    /// Claims so far that count towards the most it may have, with a running one. One that was cut off by a drain does not.
    pub attempts: u32,
    /// When it is due next, epoch ms; only while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<u64>,
    /// When it was accepted, epoch ms.
    pub enqueued_at: u64,
    /// When it ended, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<u64>,
    /// Why its latest attempt ended without success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The agent's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What its worker last said of its progress; only while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Whether it was cancelled while it runs; its worker is told with the next heartbeat.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// What it carries. Lists leave out payloads of more than 4 KB; the message alone has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadBody>,
}

/// What became of a cancellation.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelBody {
    /// The message.
    pub message_id: String,
    /// `cancelled`, or `processing` while its worker has not been told.
    pub status: &'static str,
    /// Whether it still runs; its worker is told with the next heartbeat, and it ends cancelled.
    pub cancelling: bool,
}

impl CancelBody {
    /// The answer for the message `id`.
    pub fn new(id: &MessageId, cancelled: Cancelled) -> Self {
        let (status, cancelling) = match cancelled {
            Cancelled::AtOnce => ("cancelled", false),
            Cancelled::WhenItsAttemptEnds => ("processing", true),
        };
        Self { message_id: id.to_string(), status, cancelling }
    }
}

/// What a message carries.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PayloadBody {
    /// Where it came from and where the answer goes.
    pub provider: String,
    /// Who sent it; for Telegram the chat to answer.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's own id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_message_id: Option<String>,
    /// The provider's update as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_update_json: Option<String>,
    /// More about it.
    pub metadata: BTreeMap<String, String>,
    /// Files that came with it. A worker is handed those that were fetched.
    pub attachments: Vec<AttachmentBody>,
}

/// A file that came with a message.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentBody {
    /// `photo`, `video`, `audio`, `voice` or `document`.
    pub kind: &'static str,
    /// `pending` while it is fetched, `ready`, `expired`, or `failed`.
    pub status: &'static str,
    /// What the bot that got the message fetches it by.
    pub telegram_file_id: String,
    /// The name that its sender gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// What it is, such as image/jpeg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Its id, once it was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_id: Option<String>,
    /// Until when it is kept, epoch ms, once it was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Answers a plain GET, for 15 minutes; only to a worker, while it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    /// Why it could not be fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<MessageView> for MessageBody {
    fn from(view: MessageView) -> Self {
        let message = view.message;
        // A provider is never blank: without one, the payload was not read.
        let payload = Some(message.payload).filter(|p| !p.provider.is_empty());
        Self {
            message_id: message.id.to_string(),
            conversation_id: message.conversation.to_string(),
            agent_key: message.agent.to_string(),
            status: view.status,
            priority: message.priority.get(),
            attempts: view.attempts,
            scheduled_for: view.scheduled_for.map(Timestamp::as_millis),
            enqueued_at: message.enqueued_at.as_millis(),
            finished_at: message.finished_at.map(Timestamp::as_millis),
            last_error: message.last_error,
            reply: message.reply,
            progress: view.progress,
            cancelling: view.cancelling,
            payload: payload.map(|payload| PayloadBody::new(payload, view.at)),
        }
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
        let status = attachment.status(now);
        let (storage, error) = match attachment.state {
            AttachmentState::Pending => (None, None),
            AttachmentState::Ready { storage, expires_at } => (Some((storage, expires_at)), None),
            AttachmentState::Failed { reason } => (None, Some(reason)),
        };
        let (storage_id, expires_at) = storage.unzip();
        Self {
            kind: attachment.kind.as_str(),
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
